import { RecordingTracer } from '@granary/telemetry/testing';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RequestRecord } from '../../edge/hooks.js';
import { type LoopbackCache, startLoopbackCache } from '../testing/loopback-cache.js';

const CAS = 'build.bazel.remote.execution.v2.ContentAddressableStorage';
const TRACE = 'ab'.repeat(16);

let loopback: LoopbackCache;
let records: RequestRecord[];
let tracer: RecordingTracer;
let wantsDetails: boolean;

beforeEach(async () => {
  records = [];
  tracer = new RecordingTracer();
  wantsDetails = false;
  const hooks = { onRequest: (record: RequestRecord) => records.push(record), wantsDetails: () => wantsDetails };
  loopback = await startLoopbackCache({ tracer, hooks });
});
afterEach(() => loopback[Symbol.asyncDispose]());

/** How a call of any path ends. */
async function failure(path: string, request = Buffer.alloc(0)): Promise<ServiceError> {
  const client = new Client(`127.0.0.1:${loopback.port}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set('traceparent', `00-${TRACE}-${'cd'.repeat(8)}-01`);
  const asIs = (bytes: Buffer) => bytes;
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, asIs, asIs, request, metadata, {}, (error) =>
        error ? resolve(error) : reject(new Error('the call went well')),
      );
    });
  } finally {
    client.close();
  }
}

describe('a call of a method that is not there', () => {
  it('is refused, and recorded without its name', async () => {
    const error = await failure('/google.longrunning.Operations/GetOperation', Buffer.alloc(100_000));
    expect(error).toMatchObject({
      code: status.UNIMPLEMENTED,
      details: 'The server does not implement the method /google.longrunning.Operations/GetOperation',
    });
    expect(records).toMatchObject([
      { protocol: 'grpc', service: 'other', method: 'other', code: 'UNIMPLEMENTED', subject: undefined },
    ]);
    expect(loopback.cache.runningCalls).toBe(0);
  });

  it.each([
    [`/${CAS}/Nope`, CAS],
    ['/grpc.health.v1.Health/Nope', 'grpc.health.v1.Health'],
    ['/grpc.reflection.v1.ServerReflection/Nope', 'grpc.reflection.v1.ServerReflection'],
    ['/Nope', 'other'],
    ['/', 'other'],
    ['/__proto__/toString', 'other'],
    [`/${'long'.repeat(50)}/Nope`, 'other'],
  ])('of a service that may be known: %s is one of %s', async (path, service) => {
    expect((await failure(path)).code).toBe(status.UNIMPLEMENTED);
    expect(records).toMatchObject([{ service, method: 'other' }]);
  });

  it('names what was asked for in the access log', async () => {
    wantsDetails = true;
    await failure('/no.such.Service/Method');
    expect(records[0]?.subject).toBe('no.such.Service/Method');
    await failure(`/${'long'.repeat(1000)}`);
    expect(records[1]?.subject?.length).toBeLessThan(300);
  });

  it('is a span that failed, after the conventions for methods that nobody knows', async () => {
    await failure('/no.such.Service/Method');
    const span = tracer.only('grpc');
    expect(span).toMatchObject({ kind: 'server', traceId: TRACE, status: 'error', ended: true });
    expect(span.attributes).toMatchObject({
      'rpc.system.name': 'grpc',
      'rpc.method': '_OTHER',
      'rpc.method_original': 'no.such.Service/Method',
      'rpc.response.status_code': 'UNIMPLEMENTED',
      'error.type': 'UNIMPLEMENTED',
    });
    expect(records[0]).toMatchObject({ traceId: TRACE, spanId: span.spanId });
  });
});
