import { constants } from 'node:http2';
import { gzipSync } from 'node:zlib';
import type { DescMethod } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AccessDeniedError, type RequestRecord } from '../edge/hooks.js';
import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { ByteStream } from '../gen/google/bytestream/bytestream_pb.js';
import { Health } from '../gen/grpc/health/v1/health_pb.js';
import type { RemoteCacheOptions } from './remote-cache.js';
import { digestMessage, digestOf, type LoopbackCache, startLoopbackCache } from './testing/loopback-cache.js';
import { framed, RawClient, statusOf } from './testing/raw-client.js';

const cas = ContentAddressableStorage.method;

/** Those with one message to send, which have a right to ask for. */
const GUARDED: DescMethod[] = [
  cas.findMissingBlobs,
  cas.batchUpdateBlobs,
  cas.batchReadBlobs,
  cas.getTree,
  ActionCache.method.getActionResult,
  ActionCache.method.updateActionResult,
  Capabilities.method.getCapabilities,
  ByteStream.method.read,
  ByteStream.method.queryWriteStatus,
];

describe('a call with one message', () => {
  let records: RequestRecord[];
  let loopback: LoopbackCache;
  let raw: RawClient;
  const start = async (options: Partial<RemoteCacheOptions>) => {
    const onRequest = (record: RequestRecord) => void records.push(record);
    loopback = await startLoopbackCache({ ...options, hooks: { onRequest, ...options.hooks } });
    raw = new RawClient(loopback.port);
  };
  const outcomes = () => records.map(({ method, code }) => `${method} ${code}`);

  beforeEach(() => {
    records = [];
  });
  afterEach(async () => {
    raw.close();
    await loopback[Symbol.asyncDispose]();
  });

  describe.each([
    [
      'at once',
      () => {
        throw new AccessDeniedError('UNAUTHENTICATED', 'who are you?');
      },
    ],
    ['later', () => Promise.reject(new AccessDeniedError('UNAUTHENTICATED', 'who are you?'))],
  ])('of somebody who is refused %s', (_, authorize) => {
    it.each(GUARDED.map((method) => [method.name, method] as const))(
      'is over before the message is there: %s',
      async (name, method) => {
        await start({ hooks: { authorize } });
        expect(await statusOf(raw.open(method))).toBe(status.UNAUTHENTICATED);
        expect(outcomes()).toEqual([`${name} UNAUTHENTICATED`]);
      },
    );
  });

  it('goes on when it is known who makes it', async () => {
    let admit = (_name: string) => {};
    const answer = new Promise<string>((resolve) => {
      admit = resolve;
    });
    await start({ hooks: { authorize: () => answer } });
    const call = raw.open(cas.findMissingBlobs);
    const ended = statusOf(call);
    call.end(framed(cas.findMissingBlobs, {}));
    admit('ann');
    expect(await ended).toBe(status.OK);
    expect(outcomes()).toEqual(['FindMissingBlobs OK']);
  });

  it.each([
    ['never begins', Buffer.alloc(0)],
    ['stops', Buffer.from([0, 0, 0, 1, 0, 1, 2, 3])],
    ['is there, and its end is not', framed(cas.findMissingBlobs, {})],
  ])('is ended when its message %s', async (_, bytes) => {
    await start({ limits: { streamIdleMs: 50 } });
    const call = raw.open(cas.findMissingBlobs);
    if (bytes.length > 0) call.write(bytes);
    expect(await statusOf(call)).toBe(status.DEADLINE_EXCEEDED);
    expect(outcomes()).toEqual(['FindMissingBlobs DEADLINE_EXCEEDED']);
  });

  it.each([
    [cas.batchReadBlobs, { digests: [digestMessage('x'.repeat(100_000))] }],
    [ByteStream.method.read, { resourceName: `blobs/${digestOf('x'.repeat(100_000))}` }],
  ] as const)('is ended when nobody takes what answers it: $name', async (method, request) => {
    const bytes = Buffer.alloc(100_000, 'x');
    // Long enough for the request, which comes at once.
    await start({ limits: { streamIdleMs: 1000 } });
    await loopback.cache.blobs.write(digestOf(bytes), bytes);
    const stuck = new RawClient(loopback.port, { initialWindowSize: 0 });
    const call = stuck.open(method);
    const closed = new Promise((resolve) => call.once('close', () => resolve(call.rstCode)));
    call.end(framed(method as DescMethod, request));
    expect(await closed).toBe(constants.NGHTTP2_CANCEL);
    stuck.close();
  });

  it.each([Health.method.check, Health.method.watch])(
    'that everyone may make has a short one: $name',
    async (method) => {
      await start({ limits: { streamIdleMs: 60_000 } });
      const frame = (flag: number, bytes: Buffer) => {
        const head = Buffer.from([flag, 0, 0, 0, 0]);
        head.writeUInt32BE(bytes.length, 1);
        return Buffer.concat([head, bytes]);
      };
      const plain = raw.open(method);
      plain.write(frame(0, Buffer.alloc(17 * 1024)));
      expect(await statusOf(plain)).toBe(status.RESOURCE_EXHAUSTED);
      const compressed = raw.open(method, { 'grpc-encoding': 'gzip' });
      compressed.write(frame(1, gzipSync(Buffer.alloc(1024 * 1024))));
      expect(await statusOf(compressed)).toBe(status.RESOURCE_EXHAUSTED);
    },
  );
});
