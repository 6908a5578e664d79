import { create, toBinary } from '@bufbuild/protobuf';
import { MemoryActionResultStore, MemoryBlobStore, NoSpaceError, withTracing } from '@granary/blobs';
import { createLogger, type Logger, noopSpan, type Tracer } from '@granary/telemetry';
import { RecordingTracer } from '@granary/telemetry/testing';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AccessDeniedError, type EdgeHooks, type RequestRecord } from '../edge/hooks.js';
import {
  ActionCache,
  ActionResultSchema,
  ContentAddressableStorage,
  RequestMetadataSchema,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { ByteStream } from '../gen/google/bytestream/bytestream_pb.js';
import type { RemoteCacheOptions } from './remote-cache.js';
import { digestMessage, digestOf, type LoopbackCache, startLoopbackCache } from './testing/loopback-cache.js';
import { framed, RawClient } from './testing/raw-client.js';

const TRACE = 'ab'.repeat(16);
const SAMPLED = { traceparent: `00-${TRACE}-${'cd'.repeat(8)}-01`, tracestate: 'vendor=1' };
const UNSAMPLED = { traceparent: `00-${TRACE}-${'cd'.repeat(8)}-00` };
const METADATA_KEY = 'build.bazel.remote.execution.v2.requestmetadata-bin';
const CAS = 'build.bazel.remote.execution.v2.ContentAddressableStorage';
const AC = 'build.bazel.remote.execution.v2.ActionCache';
const { findMissingBlobs, batchReadBlobs, batchUpdateBlobs } = ContentAddressableStorage.method;
const { getActionResult, updateActionResult } = ActionCache.method;
const x = digestMessage('x');
const name = digestOf('x').toString();

let tracer: RecordingTracer;
let records: RequestRecord[];
let blobs: MemoryBlobStore;
let loopback: LoopbackCache;

const start = async (options: Partial<RemoteCacheOptions> = {}, hooks: EdgeHooks = {}) => {
  loopback = await startLoopbackCache({
    blobs: withTracing(blobs, tracer),
    tracer,
    hooks: { onRequest: (record) => records.push(record), ...hooks },
    ...options,
  });
};
beforeEach(() => {
  tracer = new RecordingTracer();
  records = [];
  blobs = new MemoryBlobStore();
});
afterEach(() => loopback[Symbol.asyncDispose]());

/** Asks with metadata of any kind, once, and waits for the record. */
async function findMissing(metadata: Metadata = new Metadata()): Promise<void> {
  const client = new Client(`127.0.0.1:${loopback.port}`, credentials.createInsecure());
  const asIs = (bytes: Buffer) => bytes;
  const request = Buffer.from(toBinary(findMissingBlobs.input, create(findMissingBlobs.input, { blobDigests: [x] })));
  const path = `/${CAS}/FindMissingBlobs`;
  await new Promise<void>((resolve, reject) => {
    client.makeUnaryRequest(path, asIs, asIs, request, metadata, {}, (error) => (error ? reject(error) : resolve()));
  });
  client.close();
}

describe('a call of a sampled trace', () => {
  it('continues it from the edge to the store, in records too', async () => {
    await start();
    await loopback.client.unary(findMissingBlobs, { blobDigests: [x] }, { metadata: SAMPLED });
    expect(tracer.paths()).toEqual([`${CAS}/FindMissingBlobs`, `${CAS}/FindMissingBlobs > proxy.FindMissing`]);
    const span = tracer.only(`${CAS}/FindMissingBlobs`);
    expect(span).toMatchObject({ kind: 'server', traceId: TRACE, parentId: 'cd'.repeat(8), traceState: 'vendor=1' });
    expect(span).toMatchObject({ status: 'unset', ended: true });
    expect(span.attributes).toEqual({
      'rpc.system.name': 'grpc',
      'rpc.method': `${CAS}/FindMissingBlobs`,
      'rpc.response.status_code': 'OK',
      'server.address': '127.0.0.1',
      'server.port': loopback.port,
      'client.address': '127.0.0.1',
      'network.peer.address': '127.0.0.1',
      'network.peer.port': expect.any(Number),
    });
    expect(tracer.only('proxy.FindMissing')).toMatchObject({ traceId: TRACE, kind: 'internal', ended: true });
    expect(records).toMatchObject([{ traceId: TRACE, spanId: span.spanId, sampled: true, code: 'OK' }]);
  });

  it('shows what each way to read and write asked of the store', async () => {
    await start();
    const { client } = loopback;
    const traced = { metadata: SAMPLED };
    const paths = async (ask: () => Promise<unknown>) => {
      tracer.spans.length = 0;
      await ask();
      expect(tracer.spans.every(({ ended }) => ended)).toBe(true);
      return tracer.paths().map((path) => path.replace(/^[\w.]+\//, ''));
    };
    const upload = { resourceName: `uploads/u/blobs/${name}`, data: Buffer.from('x'), finishWrite: true };
    expect(await paths(() => client.clientStream(ByteStream.method.write, [upload], traced))).toEqual([
      'Write',
      'Write > proxy.Put',
    ]);
    expect(tracer.only('proxy.Put').attributes).toEqual({
      'cache.tier': 'memory',
      'cache.digest': name,
      'cache.size': 1,
    });
    const requests = [{ digest: digestMessage('y'), data: Buffer.from('y') }];
    expect(await paths(() => client.unary(batchUpdateBlobs, { requests }, traced))).toEqual([
      'BatchUpdateBlobs',
      'BatchUpdateBlobs > proxy.Put',
    ]);
    const digests = [x, digestMessage('nothing')];
    expect(await paths(() => client.unary(batchReadBlobs, { digests }, traced))).toEqual([
      'BatchReadBlobs',
      'BatchReadBlobs > proxy.Get',
      'BatchReadBlobs > proxy.Get',
    ]);
    expect(tracer.named('proxy.Get').map((span) => span.attributes['cache.hit'])).toEqual([true, false]);
    const read = { resourceName: `blobs/${name}` };
    expect(await paths(() => client.serverStream(ByteStream.method.read, read, traced))).toEqual([
      'Read',
      'Read > proxy.Get',
    ]);
    const large = Buffer.alloc(100_000);
    await blobs.write(digestOf(large), large);
    const whole = { resourceName: `blobs/${digestOf(large)}` };
    expect(await paths(() => client.serverStream(ByteStream.method.read, whole, traced))).toEqual([
      'Read',
      'Read > proxy.Get',
    ]);
    expect(tracer.only('proxy.Get').attributes).toMatchObject({ 'cache.hit': true, 'cache.bytes_read': 100_000 });
    const packed = { resourceName: `compressed-blobs/zstd/${digestOf(large)}` };
    await paths(() => client.serverStream(ByteStream.method.read, packed, traced));
    expect(tracer.only('proxy.Get').attributes).toMatchObject({ 'cache.bytes_read': 100_000 });
  });

  it('shows whether an action had a result and whether that was complete', async () => {
    await start();
    const action = { actionDigest: digestMessage('action') };
    const traced = { metadata: SAMPLED };
    const ask = () => loopback.client.unary(getActionResult, action, traced).catch(() => {});
    await ask();
    const output = { path: 'out', digest: x };
    await loopback.client.unary(
      updateActionResult,
      { ...action, actionResult: create(ActionResultSchema, { outputFiles: [output as never] }) },
      traced,
    );
    await ask();
    await blobs.write(digestOf('x'), Buffer.from('x'));
    await ask();
    const shown = tracer.named('proxy.GetActionResult').map(({ attributes }) => attributes);
    const common = { 'cache.tier': 'memory', 'cache.digest': digestOf('action').hash };
    expect(shown).toEqual([
      { ...common, 'cache.hit': false },
      { ...common, 'cache.hit': false, 'cache.complete': false },
      { ...common, 'cache.hit': true, 'cache.complete': true, 'cache.size': expect.any(Number) },
    ]);
    expect(tracer.only('proxy.PutActionResult').attributes).toMatchObject(common);
    expect(tracer.paths()).toContain(`${AC}/GetActionResult > proxy.GetActionResult > proxy.FindMissing`);
    // That something isn't there is no failure of the server.
    expect(tracer.named(`${AC}/GetActionResult`).map((span) => span.status)).toEqual(['unset', 'unset', 'unset']);
    expect(tracer.named(`${AC}/GetActionResult`)[0]?.attributes['rpc.response.status_code']).toBe('NOT_FOUND');
  });

  it('is what code deep inside finds as the active span', async () => {
    const active: (string | undefined)[] = [];
    const seen = async () => {
      active.push(tracer.activeSpan()?.spanId);
      await Promise.resolve();
      active.push(tracer.activeSpan()?.spanId);
      return undefined;
    };
    const results = Object.assign(new MemoryActionResultStore(), { get: seen });
    await start({ actionResults: results }, { authorize: async () => 'late' });
    await loopback.client.unary(getActionResult, { actionDigest: x }, { metadata: SAMPLED }).catch(() => {});
    const { spanId } = tracer.only('proxy.GetActionResult');
    expect(active).toEqual([spanId, spanId]);
  });
});

describe('a call of no trace', () => {
  it('begins one, or none, as the tracer decides', async () => {
    await start();
    await findMissing();
    expect(tracer.only(`${CAS}/FindMissingBlobs`).parentId).toBeUndefined();
    expect(records[0]).toMatchObject({ traceId: tracer.spans[0]?.traceId, sampled: true });
    tracer.sampled = false;
    await findMissing();
    expect(tracer.named(`${CAS}/FindMissingBlobs`)).toHaveLength(1);
  });

  it('costs no question when tracing is off', async () => {
    const ask = () => expect.fail('asked');
    const off: Tracer = {
      enabled: false,
      startSpan: ask,
      startServerSpan: ask,
      extract: ask,
      activeSpan: ask,
      runWith: ask,
    };
    await start({ tracer: off });
    await loopback.client.unary(findMissingBlobs, { blobDigests: [x] }, { metadata: SAMPLED });
    expect(records).toHaveLength(1);
    expect(records[0]?.traceId).toBeUndefined();
  });

  it.each(['', 'nonsense', `00-${'0'.repeat(32)}-1-01`, `${SAMPLED.traceparent}, ${SAMPLED.traceparent}`])(
    'is what a broken traceparent counts as: %j',
    async (traceparent) => {
      await start();
      await loopback.client.unary(findMissingBlobs, {}, { metadata: { traceparent } });
      expect(tracer.only(`${CAS}/FindMissingBlobs`).parentId).toBeUndefined();
    },
  );
});

describe('a call of a trace that is not sampled', () => {
  it('makes no spans, and its record names the trace only where a log shows it', async () => {
    let logged = false;
    await start({}, { wantsDetails: () => logged });
    await loopback.client.unary(findMissingBlobs, { blobDigests: [x] }, { metadata: UNSAMPLED });
    await loopback.client.unary(getActionResult, { actionDigest: x }, { metadata: UNSAMPLED }).catch(() => {});
    logged = true;
    await loopback.client.unary(findMissingBlobs, { blobDigests: [x] }, { metadata: UNSAMPLED });
    expect(tracer.spans).toEqual([]);
    // One for each call; nobody below it is asked for one.
    expect(tracer.started).toBe(3);
    expect(records.map((record) => record.traceId)).toEqual([undefined, undefined, TRACE]);
    expect(records[2]?.sampled).toBe(false);
  });

  it('has no trace in its record where the tracer gives it none', async () => {
    await start(
      { tracer: Object.assign(new RecordingTracer(), { startServerSpan: () => noopSpan }) },
      { wantsDetails: () => true },
    );
    await findMissing();
    expect(records[0]?.traceId).toBeUndefined();
  });
});

describe('a call that fails', () => {
  const failing = (error: Error) => Object.assign(new MemoryBlobStore(), { findMissing: () => Promise.reject(error) });

  it('is an error of its span only when the fault is the server’s', async () => {
    const broken = new Error('the disk is gone');
    await start({ blobs: withTracing(failing(broken), tracer) });
    const code = await loopback.client
      .unary(findMissingBlobs, { blobDigests: [x] }, { metadata: SAMPLED })
      .catch((error) => error.code);
    expect(code).toBe(status.INTERNAL);
    const span = tracer.only(`${CAS}/FindMissingBlobs`);
    expect(span).toMatchObject({ status: 'error', errors: [broken], ended: true });
    expect(span.attributes).toMatchObject({ 'rpc.response.status_code': 'INTERNAL', 'error.type': 'INTERNAL' });
    expect(tracer.only('proxy.FindMissing')).toMatchObject({ status: 'error', errors: [broken], ended: true });
  });

  it.each([
    ['a malformed request', 'INVALID_ARGUMENT', {}, () => loopback.client.raw(findMissingBlobs, Buffer.from([0xff]))],
    [
      'a refusal',
      'PERMISSION_DENIED',
      {
        authorize: () => {
          throw new AccessDeniedError('PERMISSION_DENIED', 'no');
        },
      },
      () => loopback.client.unary(findMissingBlobs, {}),
    ],
  ])('has a status without an error for %s', async (_, code, hooks: EdgeHooks, ask) => {
    await start({}, hooks);
    await ask().catch(() => {});
    const [span] = tracer.spans;
    expect(span).toMatchObject({ status: 'unset', errors: [], ended: true });
    expect(span?.attributes).toMatchObject({ 'rpc.response.status_code': code });
    expect(span?.attributes).not.toHaveProperty('error.type');
  });

  it('shows a full store as exhausted, which the conventions don’t count as an error', async () => {
    await start({ blobs: failing(new NoSpaceError('full')) });
    await findMissing().catch(() => {});
    expect(tracer.spans[0]).toMatchObject({
      status: 'unset',
      attributes: { 'rpc.response.status_code': 'RESOURCE_EXHAUSTED' },
    });
  });

  it('shows a deadline that passed as an error, and a client that went away as none', async () => {
    let reached: () => void = () => {};
    const hang = ({ signal }: { signal: AbortSignal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        reached();
      });
    const hanging = Object.assign(new MemoryBlobStore(), {
      findMissing: (_: unknown, options: { signal: AbortSignal }) => hang(options),
      write: (_: unknown, _source: unknown, options: { signal: AbortSignal }) => hang(options),
    });
    await start({ blobs: hanging as never });
    const request = { blobDigests: [x] };
    // A client that looks at no clock itself, and so doesn't go away before the deadline has passed here.
    const raw = new RawClient(loopback.port);
    raw.open(findMissingBlobs, { 'grpc-timeout': '50m' }).end(framed(findMissingBlobs, request));
    await vi.waitFor(() => expect(records).toHaveLength(1));
    expect(tracer.spans[0]).toMatchObject({ status: 'error', ended: true });
    expect(tracer.spans[0]?.attributes['error.type']).toBe('DEADLINE_EXCEEDED');
    raw.close();

    const arrived = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const { call, response } = loopback.client.openClientStream(ByteStream.method.write);
    call.write({ resourceName: `uploads/u/blobs/${name}`, data: Buffer.from('x') });
    await arrived;
    expect(loopback.cache.runningCalls).toBe(1);
    call.cancel();
    await response.catch(() => {});
    await vi.waitFor(() => expect(records).toHaveLength(2));
    expect(tracer.spans[1]).toMatchObject({ status: 'unset', ended: true });
    expect(tracer.spans[1]?.attributes['rpc.response.status_code']).toBe('CANCELLED');
    expect(loopback.cache.runningCalls).toBe(0);
  });

  it('names its trace on the line that says so, and on that of a blob of a batch', async () => {
    const lines: string[] = [];
    const logger: Logger = createLogger({ destination: { write: (line: string) => lines.push(line) }, format: 'json' });
    const broken = Object.assign(new MemoryBlobStore(), { get: () => Promise.reject(new Error('broken')) });
    await start({ blobs: broken, logger });
    await loopback.client.unary(batchReadBlobs, { digests: [x] }, { metadata: UNSAMPLED });
    await loopback.client
      .serverStream(ByteStream.method.read, { resourceName: `blobs/${name}` }, { metadata: SAMPLED })
      .catch(() => {});
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { msg: 'A blob of a batch failed', trace_id: TRACE, span_id: expect.stringMatching(/^\d{16}$/) },
      { msg: 'google.bytestream.ByteStream/Read failed', trace_id: TRACE, span_id: tracer.spans[0]?.spanId },
    ]);
  });
});

describe('what a client says of its build', () => {
  const said = create(RequestMetadataSchema, {
    toolDetails: { toolName: 'bazel', toolVersion: '8.4.2' },
    actionId: 'a'.repeat(64),
    toolInvocationId: 'invocation',
    correlatedInvocationsId: 'https://ci.example/builds/7',
    actionMnemonic: 'CppCompile',
    targetId: '//:hello',
    configurationId: 'k8-opt',
  });
  const metadata = (...values: Buffer[]) => {
    const made = new Metadata();
    for (const value of values) made.add(METADATA_KEY, value);
    return made;
  };
  const attributes = () =>
    Object.entries(tracer.only(`${CAS}/FindMissingBlobs`).attributes).filter(([key]) =>
      key.startsWith('request_metadata'),
    );

  it('becomes attributes', async () => {
    await start();
    await findMissing(metadata(Buffer.from(toBinary(RequestMetadataSchema, said))));
    expect(Object.fromEntries(attributes())).toEqual({
      'request_metadata.tool_details.tool_name': 'bazel',
      'request_metadata.tool_details.tool_version': '8.4.2',
      'request_metadata.action_id': 'a'.repeat(64),
      'request_metadata.tool_invocation_id': 'invocation',
      'request_metadata.correlated_invocations_id': 'https://ci.example/builds/7',
      'request_metadata.action_mnemonic': 'CppCompile',
      'request_metadata.target_id': '//:hello',
      'request_metadata.configuration_id': 'k8-opt',
    });
  });

  it.each<[string, Buffer]>([
    ['no message', Buffer.from('nonsense')],
    ['cut off', Buffer.from(toBinary(RequestMetadataSchema, said)).subarray(0, 20)],
    ['empty', Buffer.alloc(0)],
    ['very long', Buffer.from(toBinary(RequestMetadataSchema, { ...said, targetId: 'x'.repeat(9000) }))],
  ])('is ignored when it is %s', async (_, bytes) => {
    await start();
    await findMissing(metadata(bytes));
    expect(attributes()).toEqual([]);
  });

  it('is cut where a part of it is long, and the first of several counts', async () => {
    await start();
    const targetId = `${'x'.repeat(255)}😀`;
    const long = Buffer.from(toBinary(RequestMetadataSchema, { ...said, targetId }));
    await findMissing(metadata(long, Buffer.from(toBinary(RequestMetadataSchema, said))));
    expect(new Map(attributes()).get('request_metadata.target_id')).toBe('x'.repeat(255));
  });

  it('is not looked at for a call that nobody traces', async () => {
    tracer.sampled = false;
    await start();
    const get = vi.spyOn(Metadata.prototype, 'get');
    await findMissing(metadata(Buffer.from(toBinary(RequestMetadataSchema, said))));
    expect(get.mock.calls.flat()).not.toContain(METADATA_KEY);
    get.mockRestore();
  });
});

describe('server reflection', () => {
  it('is recorded as ended when its client goes away', async () => {
    await start();
    const client = new Client(`127.0.0.1:${loopback.port}`, credentials.createInsecure());
    const asIs = (bytes: Buffer) => bytes;
    const stream = client.makeBidiStreamRequest(
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      asIs,
      asIs,
    );
    stream.on('error', () => {});
    stream.write(Buffer.from([0x3a, 0])); // list_services
    await new Promise((resolve) => stream.once('data', resolve));
    expect(loopback.cache.runningCalls).toBe(1);
    stream.cancel();
    await vi.waitFor(() => expect(loopback.cache.runningCalls).toBe(0));
    expect(records).toMatchObject([{ method: 'ServerReflectionInfo' }]);
    expect(tracer.spans[0]?.ended).toBe(true);
    client.close();
  });

  it('is recorded as it ended', async () => {
    await start();
    const client = new Client(`127.0.0.1:${loopback.port}`, credentials.createInsecure());
    const asIs = (bytes: Buffer) => bytes;
    const stream = client.makeBidiStreamRequest(
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      asIs,
      asIs,
    );
    stream.write(Buffer.from([0x3a, 0]));
    stream.end();
    stream.resume();
    await new Promise((resolve) => stream.once('end', resolve));
    await vi.waitFor(() => expect(records).toMatchObject([{ method: 'ServerReflectionInfo', code: 'OK' }]));
    expect(tracer.spans[0]).toMatchObject({ ended: true, status: 'unset' });
    client.close();
  });
});
