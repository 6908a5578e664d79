import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { MemoryActionResultStore, MemoryBlobStore } from '@granary/blobs';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ActionCache,
  ActionResultSchema,
  DirectorySchema,
  TreeSchema,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import type { RemoteCacheOptions } from './remote-cache.js';
import { digestMessage, digestOf, type LoopbackCache, startLoopbackCache } from './testing/loopback-cache.js';

const { getActionResult, updateActionResult } = ActionCache.method;

type Result = MessageInitShape<typeof ActionResultSchema>;
type Directory = MessageInitShape<typeof DirectorySchema>;

const actionDigest = digestMessage('an action');
const encodeDirectory = (directory: Directory) =>
  Buffer.from(toBinary(DirectorySchema, create(DirectorySchema, directory)));

describe('action results', () => {
  let loopback: LoopbackCache;
  let blobs: MemoryBlobStore;

  const start = async (options: Partial<RemoteCacheOptions> = {}) => {
    await loopback?.[Symbol.asyncDispose]();
    blobs = new MemoryBlobStore();
    loopback = await startLoopbackCache({ blobs, ...options });
  };
  beforeEach(() => start());
  afterEach(() => loopback[Symbol.asyncDispose]());

  const store = async (...contents: (string | Buffer)[]) => {
    for (const content of contents) await blobs.write(digestOf(content), Buffer.from(content as string));
  };
  const drop = (content: string | Buffer) => blobs.delete(digestOf(content));
  const put = (actionResult: Result, more: { instanceName?: string } = {}) =>
    loopback.client.unary(updateActionResult, { actionDigest, actionResult: actionResult as never, ...more });
  const get = (more: MessageInitShape<typeof getActionResult.input> = {}) =>
    loopback.client.unary(getActionResult, { actionDigest, ...more } as never);
  const file = (path: string, content = path) => ({ path, digest: digestMessage(content) });
  const isMiss = (answer: Promise<unknown>) => expect(answer).rejects.toMatchObject({ code: status.NOT_FOUND });

  describe('(10) GetActionResult', () => {
    it('answers a miss with NOT_FOUND', async () => {
      await isMiss(get());
    });

    it('answers a hit with the result as it was sent, fields that nobody here knows included', async () => {
      await store('a.o', 'stdout');
      const known = toBinary(
        ActionResultSchema,
        create(ActionResultSchema, {
          outputFiles: [{ ...file('a.o'), isExecutable: true }],
          stdoutDigest: digestMessage('stdout'),
          stderrRaw: Buffer.from('careful!'),
          exitCode: 3,
          executionMetadata: { worker: 'w1' },
          outputSymlinks: [{ path: 'link', target: 'a.o' }],
        }),
      );
      const unknown = Buffer.from([0xfa, 0x3f, 3, 1, 2, 3]);
      const request = Buffer.concat([
        toBinary(updateActionResult.input, create(updateActionResult.input, { actionDigest })),
        field(3, Buffer.concat([known, unknown])),
      ]);
      const echoed = await loopback.client.raw(updateActionResult, request);
      const found = await loopback.client.raw(
        getActionResult,
        Buffer.from(toBinary(getActionResult.input, create(getActionResult.input, { actionDigest }))),
      );
      expect(found.equals(Buffer.concat([known, unknown]))).toBe(true);
      expect(echoed.equals(found)).toBe(true);
    });

    it.each<[string, Result]>([
      ['an output file', { outputFiles: [file('here'), file('gone')] }],
      ['stdout', { outputFiles: [file('here')], stdoutDigest: digestMessage('gone') }],
      ['stderr', { outputFiles: [file('here')], stderrDigest: digestMessage('gone') }],
      ['the tree of an output directory', { outputDirectories: [{ path: 'd', treeDigest: digestMessage('gone') }] }],
      [
        'the root of an output directory',
        { outputDirectories: [{ path: 'd', rootDirectoryDigest: digestMessage('gone') }] },
      ],
    ])('counts a result as a miss when %s is gone, and as a hit when it is back', async (_, result) => {
      await store('here');
      await put(result);
      await isMiss(get());
      if (result.outputDirectories) return;
      await store('gone');
      expect((await get()).outputFiles).toHaveLength(result.outputFiles?.length ?? 0);
    });

    describe('with an output directory', () => {
      const inner = { files: [{ name: 'deep.txt', digest: digestMessage('deep') }] };
      const root = {
        files: [{ name: 'top.txt', digest: digestMessage('top') }],
        directories: [{ name: 'inner', digest: digestMessage(encodeDirectory(inner)) }],
      };
      const tree = Buffer.from(toBinary(TreeSchema, create(TreeSchema, { root, children: [inner] })));

      it.each(['top', 'deep', tree])('looks into its tree: a miss when one of its blobs is gone (%#)', async (gone) => {
        await store('top', 'deep', tree);
        await put({ outputDirectories: [{ path: 'out', treeDigest: digestMessage(tree) }] });
        expect((await get()).outputDirectories[0]?.path).toBe('out');
        await drop(gone);
        await isMiss(get());
      });

      it.each(['top', 'deep', encodeDirectory(inner), encodeDirectory(root)])(
        'follows its root directory: a miss when one of its blobs is gone (%#)',
        async (gone) => {
          await store('top', 'deep', encodeDirectory(inner), encodeDirectory(root));
          await put({
            outputDirectories: [{ path: 'out', rootDirectoryDigest: digestMessage(encodeDirectory(root)) }],
          });
          expect((await get()).outputDirectories[0]?.path).toBe('out');
          await drop(gone);
          await isMiss(get());
        },
      );

      it('counts as a miss when its tree is none, or larger than is looked into', async () => {
        const text = Buffer.from('this is no tree at all');
        await store(text, 'top', 'deep', tree);
        await put({ outputDirectories: [{ path: 'out', treeDigest: digestMessage(text) }] });
        await isMiss(get());
        await put({ outputDirectories: [{ path: 'out', rootDirectoryDigest: digestMessage(text) }] });
        await isMiss(get());
        await start({ limits: { maxTreeBytes: tree.length - 1 } });
        await store('top', 'deep', tree);
        await put({ outputDirectories: [{ path: 'out', treeDigest: digestMessage(tree) }] });
        await isMiss(get());
      });

      it('asks for the files of a large tree in bounded portions', async () => {
        const files = Array.from({ length: 10_000 }, (_, i) => ({ name: `${i}`, digest: digestMessage(`${i % 50}`) }));
        const large = Buffer.from(toBinary(TreeSchema, create(TreeSchema, { root: { files } })));
        await store(large, ...Array.from({ length: 50 }, (_, i) => `${i}`));
        await put({ outputDirectories: [{ path: 'out', treeDigest: digestMessage(large) }] });
        const findMissing = vi.spyOn(blobs, 'findMissing');
        await get();
        expect(Math.max(...findMissing.mock.calls.map(([digests]) => digests.length))).toBeLessThanOrEqual(4096);
        await drop('49');
        await isMiss(get());
      });
    });

    it('counts a hit as a use of everything that the result names', async () => {
      const tree = Buffer.from(
        toBinary(
          TreeSchema,
          create(TreeSchema, { root: { files: [{ name: 'f', digest: digestMessage('in tree') }] } }),
        ),
      );
      await store('a', 'b', 'out', 'err', 'in tree', tree);
      await put({
        outputFiles: [file('a'), file('b')],
        stdoutDigest: digestMessage('out'),
        stderrDigest: digestMessage('err'),
        outputDirectories: [{ path: 'd', treeDigest: digestMessage(tree) }],
      });
      const findMissing = vi.spyOn(blobs, 'findMissing');
      await get();
      const used = findMissing.mock.calls.flatMap(([digests]) => digests.map(({ hash }) => hash));
      const all = ['a', 'b', 'out', 'err', 'in tree', tree].map((content) => digestMessage(content).hash);
      expect(new Set(used)).toEqual(new Set(all));
    });

    it('does not ask for outputs when the completeness check is off', async () => {
      await start({ ac: { completenessCheck: false } });
      await put({ outputFiles: [file('never stored')] });
      expect((await get()).outputFiles[0]?.path).toBe('never stored');
    });

    it('keeps the results of instance names apart', async () => {
      await put({ exitCode: 1 }, { instanceName: 'one' });
      await put({ exitCode: 2 }, { instanceName: 'one/more' });
      expect((await get({ instanceName: 'one' })).exitCode).toBe(1);
      expect((await get({ instanceName: 'one/more' })).exitCode).toBe(2);
      await isMiss(get());
    });

    it('keeps the last of several results', async () => {
      await put({ exitCode: 1 });
      await put({ exitCode: 2 });
      expect((await get()).exitCode).toBe(2);
    });

    it('counts a value as a miss that is no action result, as HTTP clients may leave', async () => {
      const leave = () =>
        loopback.cache.actionCache.put('', digestOf('an action'), Buffer.from('opaque bytes of ccache'));
      await leave();
      await isMiss(get());
      await start({ ac: { completenessCheck: false } });
      await leave();
      await isMiss(get());
      await isMiss(get({ inlineStdout: true }));
    });

    it('leaves a result as it is, though asked to inline, that only a lenient reader understands', async () => {
      // The exit code, which is a number, as a text of one character.
      const odd = Buffer.from([(4 << 3) | 2, 1, 0xff]);
      await loopback.cache.actionCache.put('', digestOf('an action'), odd);
      const request = toBinary(
        getActionResult.input,
        create(getActionResult.input, { actionDigest, inlineStdout: true }),
      );
      expect(await loopback.client.raw(getActionResult, Buffer.from(request))).toEqual(odd);
    });

    it('counts a result as a miss that is too large for a message', async () => {
      await start({ limits: { maxMessageBytes: 2000, maxBatchTotalBytes: 1000 } });
      const large = toBinary(ActionResultSchema, create(ActionResultSchema, { stdoutRaw: Buffer.alloc(2000) }));
      await loopback.cache.actionCache.put('', digestOf('an action'), Buffer.from(large));
      await isMiss(get());
      await isMiss(get({ inlineStdout: true }));
    });

    it('answers from a store that takes its time', async () => {
      const results = new MemoryActionResultStore();
      const late = vi.spyOn(results, 'get');
      await start({ actionResults: results });
      const answer = results.get.bind(results);
      late.mockRestore();
      vi.spyOn(results, 'get').mockImplementation(((key: string) => Promise.resolve(answer(key))) as never);
      const find = blobs.findMissing.bind(blobs);
      vi.spyOn(blobs, 'findMissing').mockImplementation(((all: never) => Promise.resolve(find(all))) as never);
      await store('a');
      await put({ outputFiles: [file('a')] });
      expect((await get()).outputFiles).toHaveLength(1);
      await drop('a');
      await isMiss(get());
    });

    describe('inlines', () => {
      beforeEach(async () => {
        await store('out!', 'err!', 'a', 'b');
        await put({
          outputFiles: [file('a'), file('b')],
          stdoutDigest: digestMessage('out!'),
          stderrDigest: digestMessage('err!'),
        });
      });

      const inlined = async (request: MessageInitShape<typeof getActionResult.input>) => {
        const { stdoutRaw, stderrRaw, outputFiles } = await get(request);
        return [stdoutRaw, stderrRaw, ...outputFiles.map(({ contents }) => contents)].map((bytes) =>
          Buffer.from(bytes).toString(),
        );
      };

      it('nothing unless asked', async () => {
        expect(await inlined({})).toEqual(['', '', '', '']);
      });

      it('stdout, stderr and the files that were asked for', async () => {
        expect(await inlined({ inlineStdout: true })).toEqual(['out!', '', '', '']);
        expect(await inlined({ inlineStderr: true })).toEqual(['', 'err!', '', '']);
        expect(await inlined({ inlineOutputFiles: ['b', 'unknown'] })).toEqual(['', '', '', 'b']);
      });

      it('and keeps the digests beside the content', async () => {
        const result = await get({ inlineStdout: true });
        expect(result.stdoutDigest).toMatchObject(digestMessage('out!'));
      });

      it('only what fits into a message', async () => {
        await start({ limits: { maxMessageBytes: 20_000, maxBatchTotalBytes: 10_000 } });
        const large = 'x'.repeat(12_000);
        await store(large, 'y'.repeat(9000), 'z');
        await put({
          outputFiles: [file('y', 'y'.repeat(9000)), file('z')],
          stdoutDigest: digestMessage(large),
        });
        const [stdout, , y, z] = await inlined({ inlineStdout: true, inlineOutputFiles: ['y', 'z'] });
        expect([stdout?.length, y?.length, z]).toEqual([12_000, 0, 'z']);
      });
    });

    it.each<[string, MessageInitShape<typeof getActionResult.input>]>([
      ['no digest', { actionDigest: undefined as never }],
      ['a malformed digest', { actionDigest: { hash: 'XYZ', sizeBytes: 1n } }],
      ['a malformed instance name', { instanceName: 'a//b' }],
      ['a reserved word in its instance name', { instanceName: 'a/blobs' }],
      ['a digest function that is not enabled', { digestFunction: 2, actionDigest: digestMessage('x', 'sha1') }],
      ['a digest function that nobody knows', { digestFunction: 77 as never }],
    ])('refuses a request with %s', async (_, request) => {
      await expect(get(request)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    });
  });

  describe('(11) UpdateActionResult', () => {
    it('is refused with PERMISSION_DENIED when the cache is read-only, while reading goes on', async () => {
      const actionResults = new MemoryActionResultStore();
      await start({ actionResults });
      await put({ exitCode: 7 });
      await start({ actionResults, ac: { readOnly: true } });
      await expect(put({ exitCode: 8 })).rejects.toMatchObject({
        code: status.PERMISSION_DENIED,
        details: expect.stringContaining('ac.read_only'),
      });
      expect((await get()).exitCode).toBe(7);
    });

    it.each([
      ['has no result', { actionResult: undefined }],
      ['has no action', { actionDigest: undefined }],
      [
        'names an output by a malformed digest',
        { actionResult: { outputFiles: [{ path: 'a', digest: { hash: 'no', sizeBytes: 1n } }] } },
      ],
      ['names an output by none', { actionResult: { outputFiles: [{ path: 'a' }] } }],
      ['has a malformed instance name', { instanceName: '/' }],
    ])('is refused with INVALID_ARGUMENT when it %s', async (_, fields) => {
      const call = loopback.client.unary(updateActionResult, { actionDigest, actionResult: {}, ...fields } as never);
      await expect(call).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
      await isMiss(get());
    });

    it('is refused with INVALID_ARGUMENT when the result is over the limit', async () => {
      const maxActionResultBytes = toBinary(ActionResultSchema, create(ActionResultSchema, { exitCode: 300 })).length;
      await start({ limits: { maxActionResultBytes } });
      await put({ exitCode: 300 });
      const details = 'a result of 4 bytes is over the limit of 3';
      await expect(put({ exitCode: 70_000 })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT, details });
      expect((await get()).exitCode).toBe(300);
    });

    it('is refused with INVALID_ARGUMENT when the result is no message at all', async () => {
      const head = toBinary(updateActionResult.input, create(updateActionResult.input, { actionDigest }));
      const request = Buffer.concat([head, field(3, Buffer.from('no action result'))]);
      await expect(loopback.client.raw(updateActionResult, request)).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
    });
  });
});

/** A field of bytes with a number below 16 and fewer than 16384 bytes. */
function field(number: number, bytes: Uint8Array): Buffer {
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}
