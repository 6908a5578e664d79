import { create, toBinary } from '@bufbuild/protobuf';
import { Digest, MemoryBlobStore } from '@granary/blobs';
import { expect, it } from 'vitest';
import {
  ActionResultSchema,
  DirectorySchema,
  TreeSchema,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { referencesOf } from './action-references.js';

const LIMITS = { maxDirectories: 10, maxDirectoryBytes: 10_000 };

const digestOf = (text: string) => Digest.of('sha256', Buffer.from(text));
const named = (digest: Digest) => ({ hash: digest.hash, sizeBytes: BigInt(digest.size) });
const sorted = (digests: readonly Digest[]) => digests.map(String).sort();

async function stored(blobs: MemoryBlobStore, bytes: Uint8Array): Promise<Digest> {
  const digest = Digest.of('sha256', bytes);
  await blobs.write(digest, bytes);
  return digest;
}

it('names everything that a result leads to, once, and never the empty blob', async () => {
  const blobs = new MemoryBlobStore();
  const file = (text: string) => ({ name: text, digest: named(digestOf(text)) });
  const inner = await stored(blobs, toBinary(DirectorySchema, create(DirectorySchema, { files: [file('deep')] })));
  const root = await stored(
    blobs,
    toBinary(
      DirectorySchema,
      create(DirectorySchema, {
        files: [file('high'), file('')],
        directories: [{ name: 'inner', digest: named(inner) }],
      }),
    ),
  );
  const tree = await stored(
    blobs,
    toBinary(
      TreeSchema,
      create(TreeSchema, { root: { files: [file('leaf')] }, children: [{ files: [file('twig')] }] }),
    ),
  );
  const result = create(ActionResultSchema, {
    outputFiles: [
      { path: 'a', digest: named(digestOf('a')) },
      { path: 'b', digest: named(digestOf('a')) },
    ],
    outputDirectories: [{ path: 'd', treeDigest: named(tree), rootDirectoryDigest: named(root) }],
    stdoutDigest: named(digestOf('out')),
    stderrDigest: named(digestOf('')),
  });
  const value = Buffer.from(toBinary(ActionResultSchema, result));
  const texts = ['a', 'out', 'leaf', 'twig', 'high', 'deep'].map(digestOf);
  const found = await referencesOf('sha256/0011/main', value, blobs, LIMITS);
  expect(sorted(found)).toEqual(sorted([...texts, tree, root, inner]));
  await blobs.delete(tree);
  await blobs.delete(root);
  const less = await referencesOf('sha256/0011/main', value, blobs, LIMITS);
  expect(sorted(less)).toEqual(sorted([digestOf('a'), digestOf('out'), tree, root]));
});

it.each(['treeDigest', 'rootDirectoryDigest'] as const)(
  'follows directories with more files than a call has room for: %s',
  async (field) => {
    const blobs = new MemoryBlobStore();
    const [file, other] = ['a', 'b'].map(digestOf) as [Digest, Digest];
    const files = [{ name: 'file', digest: named(file) }];
    const last = { files: [{ name: 'last', digest: named(other) }] };
    // Messages one after the other are one with all that they have.
    const [one, end] =
      field === 'treeDigest'
        ? [{ children: [{ files }] }, { children: [last] }].map((tree) =>
            toBinary(TreeSchema, create(TreeSchema, tree)),
          )
        : [{ files }, last].map((directory) => toBinary(DirectorySchema, create(DirectorySchema, directory)));
    const all = await stored(blobs, Buffer.concat([...new Array(200_000).fill(one), end]));
    const result = create(ActionResultSchema, { outputDirectories: [{ path: 'd', [field]: named(all) }] });
    const value = Buffer.from(toBinary(ActionResultSchema, result));
    const limits = { maxDirectories: 10, maxDirectoryBytes: all.size };
    const found = await referencesOf('sha256/0011/main', value, blobs, limits);
    expect(sorted(found)).toEqual(sorted([file, other, all]));
  },
);

it('names nothing for what is no action result', async () => {
  const blobs = new MemoryBlobStore();
  expect(await referencesOf('sha256/0011/', Buffer.from('\xff\xff not a result'), blobs, LIMITS)).toEqual([]);
  expect(await referencesOf('unknown/0011/', Buffer.alloc(0), blobs, LIMITS)).toEqual([]);
});
