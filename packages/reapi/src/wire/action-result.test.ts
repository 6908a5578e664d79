import { create, toBinary } from '@bufbuild/protobuf';
import { Digest, InvalidDigestError } from '@granary/blobs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ActionResultSchema,
  DirectorySchema,
  TreeSchema,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { mayBeginActionResult, scanActionResult } from './action-result.js';
import { scanDirectory, scanTree } from './directory.js';
import { WireFormatError } from './wire-format-error.js';

const digest = fc.string().map((content) => Digest.of('sha256', Buffer.from(content)));
const asMessage = (value: Digest) => ({ hash: value.hash, sizeBytes: BigInt(value.size) });
const strings = (values: readonly (Digest | undefined)[]) => values.map(String);

const directory = fc.record({
  files: fc.array(digest, { maxLength: 4 }),
  directories: fc.array(digest, { maxLength: 4 }),
});
const directoryMessage = (value: { files: Digest[]; directories: Digest[] }) => ({
  files: value.files.map((file, i) => ({ name: `f${i}`, digest: asMessage(file), isExecutable: i === 0 })),
  directories: value.directories.map((child, i) => ({ name: `d${i}`, digest: asMessage(child) })),
  symlinks: [{ name: 'link', target: '/elsewhere' }],
  nodeProperties: { unixMode: 0o644, properties: [{ name: 'a', value: 'b' }] },
});

describe('scanning an action result', () => {
  it('finds everything that it names', () => {
    fc.assert(
      fc.property(
        fc.array(digest, { maxLength: 30 }),
        fc.array(fc.tuple(digest, fc.option(digest, { nil: undefined })), { maxLength: 4 }),
        fc.option(digest, { nil: undefined }),
        fc.option(digest, { nil: undefined }),
        (files, directories, stdout, stderr) => {
          const bytes = toBinary(
            ActionResultSchema,
            create(ActionResultSchema, {
              exitCode: 1,
              outputFiles: files.map((file, i) => ({
                path: `out/${i}`,
                digest: asMessage(file),
                contents: Buffer.from('c'),
              })),
              outputDirectories: directories.map(([tree, root], i) => ({
                path: `dir/${i}`,
                treeDigest: asMessage(tree),
                ...(root && { rootDirectoryDigest: asMessage(root) }),
              })),
              outputSymlinks: [{ path: 'a', target: 'b' }],
              stdoutRaw: Buffer.from('out'),
              ...(stdout && { stdoutDigest: asMessage(stdout) }),
              ...(stderr && { stderrDigest: asMessage(stderr) }),
              executionMetadata: { worker: 'w', queuedTimestamp: { seconds: 3n, nanos: 4 } },
            }),
          );
          const scanned = scanActionResult(Buffer.from(bytes), 'sha256');
          expect(strings(scanned.files)).toEqual(strings(files));
          expect(scanned.directories.map((d) => strings([d.tree, d.rootDirectory]))).toEqual(directories.map(strings));
          expect(strings([scanned.stdout, scanned.stderr])).toEqual(strings([stdout, stderr]));
        },
      ),
    );
  });

  const scan = (init: Parameters<typeof create<typeof ActionResultSchema>>[1]) =>
    scanActionResult(Buffer.from(toBinary(ActionResultSchema, create(ActionResultSchema, init))), 'sha256');

  it('takes an empty digest of stdout or stderr for none', () => {
    expect(scan({ stdoutDigest: {}, stderrDigest: {} })).toEqual({
      files: [],
      directories: [],
      stdout: undefined,
      stderr: undefined,
    });
  });

  it('takes an output directory that has only its root, but not one that has nothing', () => {
    const root = Digest.of('sha256', Buffer.from('root'));
    expect(
      scan({ outputDirectories: [{ path: 'd', treeDigest: {}, rootDirectoryDigest: asMessage(root) }] }).directories[0],
    ).toMatchObject({
      tree: undefined,
      rootDirectory: expect.anything(),
    });
    expect(() => scan({ outputDirectories: [{ path: 'd' }] })).toThrow(InvalidDigestError);
  });

  it.each([
    ['an output file without a digest', { outputFiles: [{ path: 'a' }] }],
    ['a digest of another function', { stdoutDigest: asMessage(Digest.of('sha1', Buffer.from('x'))) }],
    ['a negative size', { stderrDigest: { hash: 'ab'.repeat(32), sizeBytes: -1n } }],
  ])('refuses %s', (_, init) => {
    expect(() => scan(init)).toThrow(InvalidDigestError);
  });

  it('refuses what is no message', () => {
    expect(() => scanActionResult(Buffer.from('not a message, but words'), 'sha256')).toThrow(WireFormatError);
  });
});

describe('scanning directories', () => {
  it('finds files and child directories', () => {
    fc.assert(
      fc.property(directory, (value) => {
        const bytes = toBinary(DirectorySchema, create(DirectorySchema, directoryMessage(value)));
        const scanned = scanDirectory(Buffer.from(bytes), 'sha256');
        expect(strings(scanned.files)).toEqual(strings(value.files));
        expect(strings(scanned.directories)).toEqual(strings(value.directories));
      }),
    );
  });

  it('finds those of a whole tree', () => {
    fc.assert(
      fc.property(directory, fc.array(directory, { maxLength: 5 }), (root, children) => {
        const bytes = toBinary(
          TreeSchema,
          create(TreeSchema, { root: directoryMessage(root), children: children.map(directoryMessage) }),
        );
        const scanned = scanTree(Buffer.from(bytes), 'sha256');
        expect(strings(scanned.files)).toEqual(strings([root, ...children].flatMap((d) => d.files)));
        expect(strings(scanned.directories)).toEqual(strings([root, ...children].flatMap((d) => d.directories)));
      }),
    );
  });

  it('refuses a node without a digest', () => {
    const bytes = toBinary(DirectorySchema, create(DirectorySchema, { files: [{ name: 'a' }] }));
    expect(() => scanDirectory(Buffer.from(bytes), 'sha256')).toThrow(InvalidDigestError);
  });
});

describe('the beginning of a value', () => {
  it('may be that of an action result, wherever it is cut', () => {
    const message = fc.record({
      outputFiles: fc.array(
        digest.map((value) => ({ path: 'out', digest: asMessage(value) })),
        { maxLength: 3 },
      ),
      exitCode: fc.integer({ min: -1, max: 255 }),
      stdoutRaw: fc.uint8Array({ maxLength: 200 }),
      stderrDigest: digest.map(asMessage),
      executionMetadata: fc.record({ worker: fc.string() }),
      outputSymlinks: fc.array(fc.record({ path: fc.string(), target: fc.string() }), { maxLength: 2 }),
    });
    fc.assert(
      fc.property(message, fc.nat(), (given, cut) => {
        const bytes = Buffer.from(toBinary(ActionResultSchema, create(ActionResultSchema, given)));
        expect(mayBeginActionResult(bytes.subarray(0, cut % (bytes.length + 1)))).toBe(true);
      }),
    );
  });

  it.each([
    ['an object of ccache', [0xcc, 0xac, 0x00, 0x01]],
    ['gzip', [0x1f, 0x8b, 0x08]],
    ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
    ['a ZIP', [0x50, 0x4b, 0x03, 0x04]],
    ['a program', [0x7f, 0x45, 0x4c, 0x46]],
    ['JSON', [...Buffer.from('{"a":1}')]],
    ['zeros', [0, 0, 0, 0]],
    ['what goes on after a field', [0x32, 0x01, 0x00, 0xff]],
  ])('is none of an action result for %s', (_, bytes) => {
    expect(mayBeginActionResult(Buffer.from(bytes))).toBe(false);
  });
});
