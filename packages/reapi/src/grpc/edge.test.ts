import { MemoryBlobStore, StoreClosedError } from '@granary/blobs';
import { nullLogger } from '@granary/telemetry';
import { Client, credentials, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AccessDeniedError, type Credentials, type RequestRecord, type Right } from '../edge/hooks.js';
import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { ByteStream } from '../gen/google/bytestream/bytestream_pb.js';
import { Health, HealthCheckResponse_ServingStatus as Serving } from '../gen/grpc/health/v1/health_pb.js';
import type { RemoteCacheOptions } from './remote-cache.js';
import {
  digestMessage,
  digestOf,
  GeneratedClient,
  type LoopbackCache,
  startLoopbackCache,
} from './testing/loopback-cache.js';
import { framed, RawClient, statusOf } from './testing/raw-client.js';

const cas = ContentAddressableStorage.method;
const digest = digestMessage('x');
const upload = { resourceName: `uploads/u/blobs/${digestOf('x')}`, data: Buffer.from('x'), finishWrite: true };

/** Every method of the cache with the right that it asks for. */
const METHODS: [string, Right, (client: GeneratedClient) => Promise<unknown>][] = [
  ['GetCapabilities', 'read', (client) => client.unary(Capabilities.method.getCapabilities, {})],
  ['FindMissingBlobs', 'read', (client) => client.unary(cas.findMissingBlobs, { blobDigests: [digest] })],
  ['BatchReadBlobs', 'read', (client) => client.unary(cas.batchReadBlobs, { digests: [digest] })],
  [
    'BatchUpdateBlobs',
    'write',
    (client) => client.unary(cas.batchUpdateBlobs, { requests: [{ digest, data: upload.data }] }),
  ],
  ['GetTree', 'read', (client) => client.serverStream(cas.getTree, { rootDigest: digestMessage('') })],
  ['GetActionResult', 'read', (client) => client.unary(ActionCache.method.getActionResult, { actionDigest: digest })],
  [
    'UpdateActionResult',
    'write',
    (client) => client.unary(ActionCache.method.updateActionResult, { actionDigest: digest, actionResult: {} }),
  ],
  ['Read', 'read', (client) => client.serverStream(ByteStream.method.read, { resourceName: `blobs/${digestOf('')}` })],
  ['Write', 'write', (client) => client.clientStream(ByteStream.method.write, [upload])],
  ['QueryWriteStatus', 'read', (client) => client.unary(ByteStream.method.queryWriteStatus, upload)],
];

let loopback: LoopbackCache;
const start = async (options: Partial<RemoteCacheOptions> = {}) => {
  await loopback?.[Symbol.asyncDispose]();
  loopback = await startLoopbackCache(options);
};
afterEach(() => loopback[Symbol.asyncDispose]());

const codeOf = (answer: Promise<unknown>) =>
  answer.then(
    () => status.OK,
    (error: { code: status }) => error.code,
  );

describe('access', () => {
  it.each(METHODS)('%s asks for the right to %s', async (_, right, call) => {
    const asked: Right[] = [];
    await start({ hooks: { authorize: (_credentials, wanted) => `${asked.push(wanted)}` } });
    await call(loopback.client).catch(() => {});
    expect(asked[0]).toBe(right);
  });

  describe.each([
    [
      'at once',
      (error: Error) => {
        throw error;
      },
    ],
    ['later', (error: Error) => Promise.reject(error)],
  ])('when it is refused %s', (_, refuse: (error: Error) => never | Promise<never>) => {
    it.each(METHODS)('%s ends with UNAUTHENTICATED or PERMISSION_DENIED', async (_, _right, call) => {
      for (const code of ['UNAUTHENTICATED', 'PERMISSION_DENIED'] as const) {
        await start({ hooks: { authorize: () => refuse(new AccessDeniedError(code, 'no entry')) } });
        await expect(call(loopback.client)).rejects.toMatchObject({ code: status[code], details: 'no entry' });
      }
    });
  });

  it.each(METHODS)('%s works when access is decided later', async (name, _right, call) => {
    await start({ hooks: { authorize: async () => 'someone' } });
    expect(await codeOf(call(loopback.client))).toBe(name === 'GetActionResult' ? status.NOT_FOUND : status.OK);
  });

  it('tells an authorize that fails from one that refuses', async () => {
    await start({
      hooks: {
        authorize: () => {
          throw new Error('the password file is gone');
        },
      },
    });
    await expect(METHODS[0]![2](loopback.client)).rejects.toMatchObject({
      code: status.INTERNAL,
      details: expect.not.stringContaining('password'),
    });
  });

  it('sees authorization, authority and connection', async () => {
    const seen: Credentials[] = [];
    await start({ hooks: { authorize: (given) => `${seen.push(given)}` } });
    const client = new GeneratedClient(`127.0.0.1:${loopback.port}`, {
      'grpc.default_authority': 'cache:9092',
    });
    const metadata = { authorization: 'Bearer token' };
    await client.unary(cas.findMissingBlobs, { blobDigests: [] }, { metadata });
    await client.clientStream(ByteStream.method.write, [upload], { metadata });
    client.close();
    for (const { authorization, authority, socket } of seen) {
      expect([authorization, authority]).toEqual(['Bearer token', 'cache:9092']);
      expect(socket?.remoteAddress).toBe('127.0.0.1');
    }
    expect(seen).toHaveLength(2);
  });

  it('sees credentials in the authority, as of grpc://user:pass@host, where HTTP/2 lets them pass', async () => {
    const seen: (string | undefined)[] = [];
    await start({ hooks: { authorize: ({ authority }) => `${seen.push(authority)}` } });
    const client = new GeneratedClient(`127.0.0.1:${loopback.port}`, { 'grpc.default_authority': 'user:pass@cache' });
    const code = await codeOf(client.unary(cas.findMissingBlobs, { blobDigests: [] }));
    client.close();
    // Later versions of nghttp2 reset such a stream before any server code sees it (RFC 9113, 8.3.1).
    if (code === status.OK) expect(seen).toEqual(['user:pass@cache']);
    else expect([code, seen]).toEqual([status.INTERNAL, []]);
  });

  it('leaves health open', async () => {
    await start({
      hooks: {
        authorize: () => {
          throw new AccessDeniedError('UNAUTHENTICATED', 'no');
        },
      },
    });
    expect(await loopback.client.unary(Health.method.check, {})).toMatchObject({ status: Serving.SERVING });
  });
});

describe('records', () => {
  let records: RequestRecord[];
  beforeEach(() => {
    records = [];
  });
  const hooks = (wants = true) => ({
    onRequest: (record: RequestRecord) => void records.push(record),
    wantsDetails: () => wants,
  });

  it.each(METHODS)('has one of %s', async (method, _right, call) => {
    await start({ hooks: hooks() });
    const code = status[await codeOf(call(loopback.client))];
    await vi.waitFor(() => expect(records).toHaveLength(1));
    const [record] = records;
    expect(record).toMatchObject({ protocol: 'grpc', method, code, peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
    expect(record?.service).toMatch(/^(build\.bazel\.remote\.execution\.v2|google\.bytestream)\./);
    expect(record?.durationMs).toBeGreaterThan(0);
    expect(record?.subject).toBeDefined();
  });

  it('name the peer of a call whose client has gone, too', async () => {
    const store = new MemoryBlobStore();
    await start({ blobs: store, hooks: hooks() });
    const raw = new RawClient(loopback.port);
    const reached = new Promise<void>((resolve) => {
      vi.spyOn(store, 'write').mockImplementation((_digest, _source, options) => {
        resolve();
        return new Promise((_, reject) => {
          options?.signal?.addEventListener('abort', () => reject(options.signal?.reason));
        });
      });
    });
    const stream = raw.open(ByteStream.method.write);
    stream.write(framed(ByteStream.method.write, { ...upload, finishWrite: false }));
    await reached;
    raw.close();
    await vi.waitFor(() => expect(records).toHaveLength(1));
    expect(records[0]).toMatchObject({ code: 'CANCELLED', peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
  });

  it('count bytes both ways, of streams too', async () => {
    await start({ hooks: hooks() });
    const data = Buffer.alloc(200_000, 'abc');
    const name = digestOf(data);
    await loopback.client.clientStream(ByteStream.method.write, [
      { resourceName: `uploads/u/blobs/${name}`, data: data.subarray(0, 100_000) },
      { writeOffset: 100_000n, data: data.subarray(100_000), finishWrite: true },
    ]);
    await loopback.client.serverStream(ByteStream.method.read, { resourceName: `blobs/${name}` });
    await vi.waitFor(() => expect(records).toHaveLength(2));
    expect(records[0]?.bytesIn).toBeGreaterThan(200_000);
    expect(records[1]?.bytesOut).toBeGreaterThan(200_000);
  });

  it('have neither subject nor peer unless they are wanted', async () => {
    await start({ hooks: hooks(false) });
    for (const [, , call] of METHODS) await call(loopback.client).catch(() => {});
    await vi.waitFor(() => expect(records).toHaveLength(METHODS.length));
    expect(records.filter(({ subject, peer }) => subject !== undefined || peer !== undefined)).toEqual([]);
  });

  it('hold the error when the failure is ours, and the log has it', async () => {
    const blobs = new MemoryBlobStore();
    const failure = new Error('EIO');
    vi.spyOn(blobs, 'findMissing').mockImplementation(() => {
      throw failure;
    });
    const error = vi.fn();
    await start({ blobs, hooks: hooks(), logger: { ...nullLogger, error } });
    await expect(METHODS[1]![2](loopback.client)).rejects.toMatchObject({ code: status.INTERNAL });
    expect(records[0]).toMatchObject({ code: 'INTERNAL', error: failure });
    expect(error).toHaveBeenCalledWith(expect.any(String), expect.any(String), 'FindMissingBlobs', failure);
  });

  it('may fail without harm', async () => {
    await start({
      hooks: {
        onRequest: () => {
          throw new Error('the log is full');
        },
      },
    });
    expect(await codeOf(METHODS[0]![2](loopback.client))).toBe(status.OK);
  });
});

describe('messages', () => {
  beforeEach(() => start());
  const garbage = Buffer.from([0xff, 0xff, 0xff]);

  it.each([
    cas.findMissingBlobs,
    cas.batchReadBlobs,
    cas.batchUpdateBlobs,
    cas.getTree,
    ActionCache.method.getActionResult,
    ActionCache.method.updateActionResult,
    Capabilities.method.getCapabilities,
    ByteStream.method.read,
    ByteStream.method.write,
    ByteStream.method.queryWriteStatus,
    Health.method.check,
  ])('that are malformed are INVALID_ARGUMENT: $name', async (method) => {
    const raw = new RawClient(loopback.port);
    const stream = raw.open(method);
    const answer = statusOf(stream);
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, garbage.length]), garbage]));
    expect(await answer).toBe(status.INVALID_ARGUMENT);
    raw.close();
  });

  it('over the message limit are RESOURCE_EXHAUSTED, and the connection lives on', async () => {
    const tooLarge = { code: status.RESOURCE_EXHAUSTED };
    const data = Buffer.alloc(9 * 1024 * 1024);
    const digest = digestMessage(data);
    const batch = loopback.client.unary(cas.batchUpdateBlobs, { requests: [{ digest, data }] });
    await expect(batch).rejects.toMatchObject(tooLarge);

    const contents = data.subarray(0, 4 * 1024 * 1024);
    const actionResult = { outputFiles: [{ path: 'large', digest: digestMessage(contents), contents }] };
    const result = loopback.client.unary(ActionCache.method.updateActionResult, { actionDigest: digest, actionResult });
    await expect(result).rejects.toMatchObject(tooLarge);

    const resourceName = `uploads/1/blobs/${digest.hash}/${data.length}`;
    const first = { resourceName, data: data.subarray(0, 2 * contents.length - 1024) };
    const rest = { writeOffset: BigInt(first.data.length), data: data.subarray(first.data.length), finishWrite: true };
    const written = loopback.client.clientStream(ByteStream.method.write, [first, rest]);
    await expect(written).rejects.toMatchObject(tooLarge);
    expect(await codeOf(METHODS[0]![2](loopback.client))).toBe(status.OK);
  });

  it.each([Capabilities.method.getCapabilities, cas.getTree])(
    'that name something, and are far too long for that, are RESOURCE_EXHAUSTED: $name',
    async (method) => {
      const raw = new RawClient(loopback.port);
      const stream = raw.open(method);
      const unknownFields = Buffer.alloc(1024 * 1024, Buffer.from([15 << 3, 1]));
      const prefix = Buffer.from([0, 0, 0, 0, 0]);
      prefix.writeUInt32BE(unknownFields.length, 1);
      stream.end(Buffer.concat([prefix, unknownFields]));
      expect(await statusOf(stream)).toBe(status.RESOURCE_EXHAUSTED);
      raw.close();
    },
  );

  it('to a store that is closed are UNAVAILABLE', async () => {
    const blobs = new MemoryBlobStore();
    vi.spyOn(blobs, 'findMissing').mockImplementation(() => {
      throw new StoreClosedError();
    });
    await start({ blobs });
    await expect(METHODS[1]![2](loopback.client)).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  it('to a store that hangs end with their deadline, and the store is told', async () => {
    const blobs = new MemoryBlobStore();
    let reason: unknown;
    vi.spyOn(blobs, 'findMissing').mockImplementation(
      ((_digests: unknown, options: { signal: AbortSignal }) =>
        new Promise((_, reject) => {
          options.signal.addEventListener('abort', () => {
            reason = options.signal.reason;
            reject(reason as Error);
          });
        })) as never,
    );
    const codes: string[] = [];
    await start({ blobs, hooks: { onRequest: ({ code }) => codes.push(code) } });
    // A client that looks at no clock itself, and so isn't the first to go.
    const raw = new RawClient(loopback.port);
    const call = raw.open(cas.findMissingBlobs, { 'grpc-timeout': '50m' });
    const answer = statusOf(call);
    call.end(framed(cas.findMissingBlobs, { blobDigests: [digest] }));
    expect(await answer).toBe(status.DEADLINE_EXCEEDED);
    await vi.waitFor(() => expect(codes).toEqual(['DEADLINE_EXCEEDED']));
    expect(reason).toMatchObject({ name: 'CallEndedError' });
    raw.close();
  });
});

describe('health', () => {
  beforeEach(() => start());
  const check = (service: string) => loopback.client.unary(Health.method.check, { service });

  it('is SERVING for the server and each service', async () => {
    for (const service of ['', ContentAddressableStorage, ActionCache, ByteStream, Capabilities].map((each) =>
      typeof each === 'string' ? each : each.typeName,
    ))
      expect(await check(service)).toMatchObject({ status: Serving.SERVING });
  });

  it('is NOT_FOUND for a service that is not here', async () => {
    await expect(check('some.Other')).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('changes for all services or for one', async () => {
    const { health } = loopback.cache;
    health.set('NOT_SERVING', ByteStream.typeName);
    expect(await check('')).toMatchObject({ status: Serving.SERVING });
    expect(await check(ByteStream.typeName)).toMatchObject({ status: Serving.NOT_SERVING });
    health.set('NOT_SERVING');
    expect(await check('')).toMatchObject({ status: Serving.NOT_SERVING });
    health.set('SERVING');
    expect(await check(ByteStream.typeName)).toMatchObject({ status: Serving.SERVING });
  });

  it('is watched: now, and at each change', async () => {
    const watch = loopback.client.openServerStream(Health.method.watch, { service: '' });
    watch.on('error', () => {});
    const seen: Serving[] = [];
    watch.on('data', (message: { status: Serving }) => seen.push(message.status));
    await vi.waitFor(() => expect(seen).toEqual([Serving.SERVING]));
    loopback.cache.health.set('NOT_SERVING', ByteStream.typeName);
    loopback.cache.health.set('NOT_SERVING');
    await vi.waitFor(() => expect(seen).toEqual([Serving.SERVING, Serving.NOT_SERVING]));
    loopback.cache.health.set('SERVING');
    await vi.waitFor(() => expect(seen).toEqual([Serving.SERVING, Serving.NOT_SERVING, Serving.SERVING]));
    watch.cancel();
  });

  it('is watched for a service that may come to be', async () => {
    const watch = loopback.client.openServerStream(Health.method.watch, { service: 'later' });
    watch.on('error', () => {});
    const seen: Serving[] = [];
    watch.on('data', (message: { status: Serving }) => seen.push(message.status));
    await vi.waitFor(() => expect(seen).toEqual([Serving.SERVICE_UNKNOWN]));
    loopback.cache.health.set('SERVING', 'later');
    await vi.waitFor(() => expect(seen).toEqual([Serving.SERVICE_UNKNOWN, Serving.SERVING]));
    watch.cancel();
  });

  it('lets go of those who watch when it ends, so that they keep no server from stopping', async () => {
    const watch = loopback.client.openServerStream(Health.method.watch, { service: '' });
    const seen: Serving[] = [];
    const ended = new Promise((resolve) => watch.on('status', ({ code }) => resolve(code)));
    watch.on('data', (message: { status: Serving }) => seen.push(message.status));
    await vi.waitFor(() => expect(seen).toEqual([Serving.SERVING]));
    loopback.cache.health.end();
    expect(await ended).toBe(0);
    expect(seen).toEqual([Serving.SERVING, Serving.NOT_SERVING]);
  });

  it('is watched by a thousand at most, and forgets those that leave', () => {
    const { health } = loopback.cache;
    const watch = () => {
      const controller = new AbortController();
      return { controller, leave: health.watch(() => {}, controller.signal) };
    };
    // Whoever is gone before it could watch takes no place.
    for (let i = 0; i < 10; i++) health.watch(() => {}, AbortSignal.abort());
    const [aborted, left] = Array.from({ length: 1000 }, watch);
    expect(watch).toThrow(/Check/);
    aborted!.controller.abort();
    watch();
    expect(watch).toThrow(/Check/);
    left!.leave();
    left!.leave();
    watch();
    expect(watch).toThrow(/Check/);
    left!.controller.abort();
    expect(watch).toThrow(/Check/);
  });
});

describe('server reflection', () => {
  /** ServerReflectionRequest{list_services: "*"} and {file_containing_symbol}. */
  const LIST = Buffer.from([0x3a, 0x01, 0x2a]);
  const symbol = (name: string) => Buffer.concat([Buffer.from([0x22, name.length]), Buffer.from(name)]);

  const ask = (version: string, request: Buffer) =>
    new Promise<string>((resolve, reject) => {
      const client = new Client(`127.0.0.1:${loopback.port}`, credentials.createInsecure());
      const asIs = (bytes: Buffer) => bytes;
      const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
      const call = client.makeBidiStreamRequest(path, asIs, asIs);
      call.on('data', (bytes: Buffer) => resolve(bytes.toString('latin1')));
      call.on('error', reject);
      call.on('status', () => client.close());
      call.write(request);
      call.end();
    });

  it.each(['v1', 'v1alpha'])('%s lists the services', async (version) => {
    await start();
    const text = await ask(version, LIST);
    for (const service of [ContentAddressableStorage, ActionCache, ByteStream, Capabilities, Health])
      expect(text).toContain(service.typeName);
  });

  it('knows the messages of our .proto files', async () => {
    await start();
    const text = await ask('v1', symbol('build.bazel.remote.execution.v2.FindMissingBlobsRequest'));
    expect(text).toContain('blob_digests');
  });

  it.each(['v1', 'v1alpha'])('%s answers each of several questions, in order', async (version) => {
    await start();
    const client = new Client(`127.0.0.1:${loopback.port}`, credentials.createInsecure());
    const asIs = (bytes: Buffer) => bytes;
    const call = client.makeBidiStreamRequest(
      `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      asIs,
      asIs,
    );
    const answers: string[] = [];
    call.on('data', (bytes: Buffer) => answers.push(bytes.toString('latin1')));
    const ended = new Promise((resolve) => call.on('status', ({ code }) => resolve(code)));
    call.write(symbol('build.bazel.remote.execution.v2.Digest'));
    call.write(symbol('no.such.Thing'));
    call.write(LIST);
    call.end();
    expect(await ended).toBe(status.OK);
    expect(answers).toHaveLength(3);
    expect(answers[0]).toContain('size_bytes');
    expect(answers[1]).toContain('no.such.Thing');
    expect(answers[2]).toContain(Health.typeName);
    client.close();
  });

  it('ends a call with a malformed question as INVALID_ARGUMENT, and lives on', async () => {
    const records: RequestRecord[] = [];
    await start({ hooks: { onRequest: (record) => void records.push(record) } });
    await expect(ask('v1', Buffer.from([0xff, 0xff, 0xff]))).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(records).toMatchObject([{ method: 'ServerReflectionInfo', code: 'INVALID_ARGUMENT' }]);
    expect(await ask('v1', LIST)).toContain(Health.typeName);
  });

  it('asks for the right to read', async () => {
    const records: RequestRecord[] = [];
    const authorize = () => {
      throw new AccessDeniedError('UNAUTHENTICATED', 'who are you?');
    };
    await start({ hooks: { authorize, onRequest: (record) => void records.push(record) } });
    await expect(ask('v1', LIST)).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    expect(records[0]).toMatchObject({ service: 'grpc.reflection.v1.ServerReflection', code: 'UNAUTHENTICATED' });
  });
});
