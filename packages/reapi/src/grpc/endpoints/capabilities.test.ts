import { MemoryActionResultStore, MemoryBlobStore } from '@granary/blobs';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { AccessDeniedError, type Right } from '../../edge/hooks.js';
import {
  ActionCache,
  Capabilities,
  Compressor_Value as Compressor,
  ContentAddressableStorage,
  DigestFunction_Value as DigestFunction,
  SymlinkAbsolutePathStrategy_Value as SymlinkStrategy,
} from '../../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { ByteStream } from '../../gen/google/bytestream/bytestream_pb.js';
import { compress } from '../../zstd/index.js';
import { createRemoteCache, type RemoteCacheOptions } from '../remote-cache.js';
import { digestMessage, digestOf, type LoopbackCache, startLoopbackCache } from '../testing/loopback-cache.js';

const { getCapabilities } = Capabilities.method;

describe('(12) Capabilities', () => {
  let loopback: LoopbackCache;
  afterEach(() => loopback?.[Symbol.asyncDispose]());

  const ask = async (options: Partial<RemoteCacheOptions> = {}) => {
    loopback = await startLoopbackCache(options);
    return loopback.client.unary(getCapabilities, { instanceName: 'any/instance' });
  };

  it('say what this server can do', async () => {
    const { cacheCapabilities, lowApiVersion, highApiVersion, executionCapabilities } = await ask();
    expect(cacheCapabilities).toMatchObject({
      digestFunctions: [DigestFunction.SHA256, DigestFunction.BLAKE3],
      actionCacheUpdateCapabilities: { updateEnabled: true },
      maxBatchTotalSizeBytes: BigInt(4 * 1024 * 1024 - 64 * 1024),
      maxCasBlobSizeBytes: 0n,
      symlinkAbsolutePathStrategy: SymlinkStrategy.ALLOWED,
      supportedCompressors: [Compressor.IDENTITY, Compressor.ZSTD],
      supportedBatchUpdateCompressors: [Compressor.IDENTITY, Compressor.ZSTD],
    });
    expect(lowApiVersion).toMatchObject({ major: 2, minor: 0 });
    expect(highApiVersion).toMatchObject({ major: 2, minor: 11 });
    expect(executionCapabilities).toBeUndefined();
  });

  it('follow the options', async () => {
    const { cacheCapabilities } = await ask({
      digestFunctions: ['sha1', 'sha512'],
      limits: { maxBlobBytes: 12_345, maxBatchTotalBytes: 1000 },
      ac: { readOnly: true },
    });
    expect(cacheCapabilities).toMatchObject({
      digestFunctions: [DigestFunction.SHA1, DigestFunction.SHA512],
      maxCasBlobSizeBytes: 12_345n,
      maxBatchTotalSizeBytes: 1000n,
      actionCacheUpdateCapabilities: { updateEnabled: false },
    });
  });

  it.each([
    ['at once', (right: Right) => refuseWriting(right)],
    ['later', async (right: Right) => refuseWriting(right)],
  ])('offer no updates to whoever may only read (decided %s)', async (_, authorize) => {
    const { cacheCapabilities } = await ask({ hooks: { authorize: (_credentials, right) => authorize(right) } });
    expect(cacheCapabilities?.actionCacheUpdateCapabilities?.updateEnabled).toBe(false);
  });

  it.each([
    ['at once', (right: Right) => right === 'read'],
    ['later', async (right: Right) => right === 'read'],
    ['with an error', (right: Right) => refuseWriting(right) !== ''],
  ])('ask about writing without trying to (answered %s)', async (_, allows) => {
    const tried: Right[] = [];
    const authorize = (_credentials: unknown, right: Right) => {
      tried.push(right);
      return 'ann';
    };
    const { cacheCapabilities } = await ask({
      hooks: { authorize, allows: (_credentials, right) => allows(right) },
    });
    expect(cacheCapabilities?.actionCacheUpdateCapabilities?.updateEnabled).toBe(false);
    expect(tried).toEqual(['read']);
  });

  it('refuse a malformed instance name', async () => {
    await ask();
    await expect(loopback.client.unary(getCapabilities, { instanceName: 'x/uploads' })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });

  describe('promise a client nothing that it would then fail with', () => {
    it('every digest function that is offered can be used everywhere', async () => {
      const { cacheCapabilities } = await ask({
        digestFunctions: ['sha256', 'blake3', 'sha1', 'md5', 'sha384', 'sha512'],
      });
      const names = { 1: 'sha256', 2: 'sha1', 3: 'md5', 5: 'sha384', 6: 'sha512', 9: 'blake3' } as const;
      expect(cacheCapabilities?.digestFunctions).toHaveLength(6);
      for (const digestFunction of cacheCapabilities!.digestFunctions) {
        const fn = names[digestFunction as keyof typeof names];
        const digest = digestMessage(`in ${fn}`, fn);
        const { responses } = await loopback.client.unary(ContentAddressableStorage.method.batchUpdateBlobs, {
          digestFunction,
          requests: [{ digest, data: Buffer.from(`in ${fn}`) }],
        });
        expect(responses[0]?.status?.code ?? 0).toBe(0);
        const [part] = await loopback.client.serverStream(ByteStream.method.read, {
          resourceName: `blobs/${fn}/${digest.hash}/${digest.sizeBytes}`,
        });
        expect(Buffer.from(part!.data).toString()).toBe(`in ${fn}`);
        const actionResult = { outputFiles: [{ path: 'a', digest }] };
        const action = { actionDigest: digest, digestFunction };
        await loopback.client.unary(ActionCache.method.updateActionResult, { ...action, actionResult });
        const found = await loopback.client.unary(ActionCache.method.getActionResult, action);
        expect(found.outputFiles).toHaveLength(1);
      }
    });

    it('a digest function that is not offered is refused everywhere, with the names of those that are', async () => {
      await ask({ digestFunctions: ['sha256'] });
      const digest = digestMessage('x', 'blake3');
      const digestFunction = DigestFunction.BLAKE3;
      const resourceName = `blobs/blake3/${digest.hash}/1`;
      const { client } = loopback;
      const calls: (() => Promise<unknown>)[] = [
        () =>
          client.unary(ContentAddressableStorage.method.findMissingBlobs, { digestFunction, blobDigests: [digest] }),
        () => client.unary(ContentAddressableStorage.method.batchReadBlobs, { digestFunction, digests: [digest] }),
        () =>
          client.unary(ContentAddressableStorage.method.batchUpdateBlobs, { digestFunction, requests: [{ digest }] }),
        () => client.serverStream(ContentAddressableStorage.method.getTree, { digestFunction, rootDigest: digest }),
        () => client.unary(ActionCache.method.getActionResult, { digestFunction, actionDigest: digest }),
        () =>
          client.unary(ActionCache.method.updateActionResult, {
            digestFunction,
            actionDigest: digest,
            actionResult: {},
          }),
        () => client.serverStream(ByteStream.method.read, { resourceName }),
        () =>
          client.clientStream(ByteStream.method.write, [
            { resourceName: `uploads/u/${resourceName}`, finishWrite: true },
          ]),
        () => client.unary(ByteStream.method.queryWriteStatus, { resourceName: `uploads/u/${resourceName}` }),
      ];
      for (const call of calls)
        await expect(call()).rejects.toMatchObject({
          code: status.INVALID_ARGUMENT,
          details: expect.stringContaining('sha256'),
        });
    });

    it('when updates are offered, they work', async () => {
      const { cacheCapabilities } = await ask();
      expect(cacheCapabilities?.actionCacheUpdateCapabilities?.updateEnabled).toBe(true);
      await loopback.client.unary(ActionCache.method.updateActionResult, {
        actionDigest: digestMessage('a'),
        actionResult: {},
      });
    });

    it('every compressor that is offered works both ways', async () => {
      const { cacheCapabilities } = await ask();
      expect(cacheCapabilities?.supportedCompressors).toContain(Compressor.ZSTD);
      const data = Buffer.from('compressed there and back');
      const name = `compressed-blobs/zstd/${digestOf(data)}`;
      const upload = { resourceName: `uploads/u/${name}`, data: await compress(data), finishWrite: true };
      await loopback.client.clientStream(ByteStream.method.write, [upload]);
      expect(await loopback.client.serverStream(ByteStream.method.read, { resourceName: name })).not.toHaveLength(0);
    });
  });
});

describe('createRemoteCache', () => {
  const create = (options: Partial<RemoteCacheOptions>) => () =>
    createRemoteCache({ blobs: new MemoryBlobStore(), actionResults: new MemoryActionResultStore(), ...options });

  it.each<[string, Partial<RemoteCacheOptions>, RegExp]>([
    ['no digest function', { digestFunctions: [] }, /digestFunctions/],
    ['an unknown digest function', { digestFunctions: ['crc32' as never] }, /digestFunctions.*crc32/],
    ['a limit that is no number', { limits: { maxTreeBytes: Number.NaN } }, /limits\.maxTreeBytes/],
    ['a negative limit', { limits: { maxBlobBytes: -1 } }, /limits\.maxBlobBytes/],
    ['a limit of nothing', { limits: { treePageSize: 0 } }, /limits\.treePageSize/],
    ['batches that leave a message no room', { limits: { maxBatchTotalBytes: 4 * 1024 * 1024 } }, /maxMessageBytes/],
  ])('refuses %s, and names the option', (_, options, message) => {
    expect(create(options)).toThrow(message);
  });

  it('takes maxBlobBytes 0 for no limit', () => {
    expect(create({ limits: { maxBlobBytes: 0 } })().limits.maxBlobBytes).toBe(0);
  });
});

function refuseWriting(right: Right): string {
  if (right === 'write') throw new AccessDeniedError('PERMISSION_DENIED', 'readers do not write');
  return 'a reader';
}
