import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { MemoryBlobStore } from '@granary/blobs';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ContentAddressableStorage,
  DirectorySchema,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import type { CacheLimits } from '../services/limits.js';
import { digestMessage, digestOf, type LoopbackCache, startLoopbackCache } from './testing/loopback-cache.js';

const { getTree } = ContentAddressableStorage.method;

const encode = (directory: MessageInitShape<typeof DirectorySchema>) =>
  Buffer.from(toBinary(DirectorySchema, create(DirectorySchema, directory)));

describe('(9) GetTree', () => {
  let loopback: LoopbackCache;

  const start = async (limits: Partial<CacheLimits> = {}) => {
    await loopback?.[Symbol.asyncDispose]();
    loopback = await startLoopbackCache({ blobs: new MemoryBlobStore(), limits });
  };
  beforeEach(() => start());
  afterEach(() => loopback[Symbol.asyncDispose]());

  /** Stores a directory with a file named like itself, and directories below it. */
  async function directory(name: string, children: Readonly<Record<string, Buffer>> = {}, stored = true) {
    const bytes = encode({
      files: [{ name: `${name}.txt`, digest: digestMessage(name) }],
      directories: Object.entries(children).map(([child, content]) => ({
        name: child,
        digest: digestMessage(content),
      })),
    });
    if (stored) await loopback.cache.blobs.write(digestOf(bytes), bytes);
    return bytes;
  }

  const pages = (root: Buffer, more: { pageSize?: number; pageToken?: string } = {}) =>
    loopback.client.serverStream(getTree, { rootDigest: digestMessage(root), ...more });
  const names = (found: Awaited<ReturnType<typeof pages>>) =>
    found.map((page) => page.directories.map(({ files }) => files[0]?.name));

  it('delivers the root first and then all directories, level by level', async () => {
    const c = await directory('c');
    const a = await directory('a', { c });
    const b = await directory('b');
    const found = await pages(await directory('root', { a, b }));
    expect(names(found)).toEqual([['root.txt', 'a.txt', 'b.txt', 'c.txt']]);
    expect(found[0]?.nextPageToken).toBe('');
    expect(found[0]?.directories[1]?.directories[0]?.digest).toMatchObject(digestMessage(c));
  });

  it('delivers a directory with many parents once', async () => {
    const shared = await directory('shared');
    const a = await directory('a', { shared, again: shared });
    const b = await directory('b', { shared, a });
    expect(names(await pages(await directory('root', { a, b, shared })))).toEqual([
      ['root.txt', 'a.txt', 'b.txt', 'shared.txt'],
    ]);
  });

  it('splits into pages of page_size, each with the token of the next', async () => {
    const children: Record<string, Buffer> = {};
    for (const name of ['a', 'b', 'c', 'd', 'e']) children[name] = await directory(name);
    const root = await directory('root', children);
    const found = await pages(root, { pageSize: 2 });
    expect(names(found)).toEqual([
      ['root.txt', 'a.txt'],
      ['b.txt', 'c.txt'],
      ['d.txt', 'e.txt'],
    ]);
    expect(found.map(({ nextPageToken }) => nextPageToken !== '')).toEqual([true, true, false]);

    const rest = await pages(root, { pageSize: 3, pageToken: found[0]!.nextPageToken });
    expect(names(rest)).toEqual([['b.txt', 'c.txt', 'd.txt'], ['e.txt']]);
  });

  it('is bounded by the page size of the server', async () => {
    await start({ treePageSize: 1 });
    const root = await directory('root', { a: await directory('a') });
    expect(names(await pages(root))).toEqual([['root.txt'], ['a.txt']]);
    expect(names(await pages(root, { pageSize: 100 }))).toEqual([['root.txt'], ['a.txt']]);
  });

  it('keeps a page within the message limit', async () => {
    await start({ maxMessageBytes: 70_000, maxBatchTotalBytes: 60_000 });
    const children: Record<string, Buffer> = {};
    for (let i = 0; i < 10; i++) children[`${i}`] = await directory(`${i}`.repeat(20_000));
    const found = await pages(await directory('root', children));
    expect(found.map(({ directories }) => directories.length)).toEqual([4, 3, 3, 1]);
  });

  it('leaves out children that are not here', async () => {
    const lost = await directory('lost', { below: await directory('below') }, false);
    const root = await directory('root', { lost, found: await directory('found') });
    expect(names(await pages(root))).toEqual([['root.txt', 'found.txt']]);
  });

  it('answers NOT_FOUND for a root that is not here', async () => {
    await expect(pages(await directory('root', {}, false))).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('takes the empty blob for an empty directory', async () => {
    const found = await pages(Buffer.alloc(0));
    expect(found).toHaveLength(1);
    expect(found[0]?.directories).toEqual([expect.objectContaining({ files: [], directories: [] })]);
  });

  it('goes on behind the directory that came last, whatever was evicted meanwhile', async () => {
    const below = await directory('below');
    const a = await directory('a', { below });
    const b = await directory('b');
    const c = await directory('c');
    const root = await directory('root', { a, b, c });
    const [first] = await pages(root, { pageSize: 3 });
    expect(names([first!])).toEqual([['root.txt', 'a.txt', 'b.txt']]);
    await start();
    for (const bytes of [root, b, c, below]) await loopback.cache.blobs.write(digestOf(bytes), bytes);
    expect(names(await pages(root, { pageToken: first!.nextPageToken }))).toEqual([['c.txt']]);
  });

  it('refuses a token whose directory is gone, rather than to call the rest of the tree nothing', async () => {
    const below = await directory('below');
    const a = await directory('a', { below, other: await directory('other') });
    const root = await directory('root', { a });
    const found = await pages(root, { pageSize: 3 });
    expect(names(found)).toEqual([['root.txt', 'a.txt', 'below.txt'], ['other.txt']]);
    await start();
    for (const bytes of [root, below]) await loopback.cache.blobs.write(digestOf(bytes), bytes);
    await expect(pages(root, { pageToken: found[0]!.nextPageToken })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('begin without a token'),
    });
  });

  it('refuses a token that names more than the tree has', async () => {
    const root = await directory('root', { a: await directory('a') });
    const start = digestOf(root).hash.slice(0, 16);
    for (const rest of ['-9', `-${'a'.repeat(64)}-9`, `-${'a'.repeat(64)}-99999999999999999999`]) {
      const code = status.INVALID_ARGUMENT;
      await expect(pages(root, { pageToken: start + rest })).rejects.toMatchObject({ code });
    }
  });

  it.each(['nonsense', '1', 'ffffffffffffffff-1', '-1', `${'0'.repeat(16)}-0`])(
    'refuses the page token %s with INVALID_ARGUMENT',
    async (pageToken) => {
      await expect(pages(await directory('root'), { pageToken })).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
    },
  );

  it('refuses a negative page size, a request without root and a root that is no directory', async () => {
    const text = Buffer.from('this is some text and no directory');
    await loopback.cache.blobs.write(digestOf(text), text);
    const code = status.INVALID_ARGUMENT;
    await expect(pages(await directory('root'), { pageSize: -1 })).rejects.toMatchObject({ code });
    await expect(loopback.client.serverStream(getTree, {})).rejects.toMatchObject({ code });
    await expect(pages(text)).rejects.toMatchObject({ code });
    const details = expect.stringContaining('64 hexadecimal digits, not 3');
    const rootDigest = { hash: 'abc', sizeBytes: 1n };
    await expect(loopback.client.serverStream(getTree, { rootDigest })).rejects.toMatchObject({ code, details });
  });

  it('ends with FAILED_PRECONDITION at a tree that is too large to walk', async () => {
    await start({ maxTreeDirectories: 3, maxMessageBytes: 5000, maxBatchTotalBytes: 4000 });
    const three = await directory('root', { a: await directory('a'), b: await directory('b') });
    expect(names(await pages(three))).toHaveLength(1);
    const four = await directory('root', { c: await directory('c', { three }) });
    await expect(pages(four)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    const wide = await directory('x'.repeat(5000));
    await expect(pages(wide)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
  });
});
