import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthListRequestSchema,
  HealthListResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../gen/grpc/health/v1/health_pb.js';
import { ProtocolError } from '../../services/protocol-error.js';
import { decodeGenerated, encodeGenerated } from '../../wire/generated-message.js';
import { type Endpoint, serverStream, unary } from '../calls/endpoint.js';
import type { OutgoingMessages } from '../calls/outgoing-messages.js';
import type { Edge, RunningCall } from '../calls/running-call.js';
import type { Health, HealthStatus } from '../health.js';

const SERVICE = 'grpc.health.v1.Health';

/** `grpc.health.v1.Health`: whether the server and its services take work. */
export function healthEndpoints(edge: Edge, health: Health): Endpoint[] {
  const method = { service: SERVICE, right: undefined, decode: decodeService } as const;
  return [
    unary(edge, { ...method, name: 'Check' }, (service) => {
      const status = health.check(service);
      return status instanceof Promise ? status.then((known) => answer(service, known)) : answer(service, status);
    }),

    unary(edge, { ...method, name: 'List', decode: decodeList }, async () => {
      await health.check('');
      const statuses = health.services.flatMap((service) => {
        const status = health.get(service);
        return status ? [[service, { status: ServingStatus[status] }]] : [];
      });
      return encodeGenerated(HealthListResponseSchema, { statuses: Object.fromEntries(statuses) });
    }),

    serverStream(edge, { ...method, name: 'Watch' }, (service, call, out) => watch(health, service, call, out)),
  ];
}

/** Sends the status of a service whenever it changes, as long as the client listens. */
async function watch(health: Health, service: string, call: RunningCall, out: OutgoingMessages): Promise<undefined> {
  const { signal } = call;
  let wake: () => void = () => {};
  const leave = health.watch(() => wake(), signal);
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {});
  try {
    // What was last known may be old, or nothing; but the end of the server is told without looking.
    let changed = nextWake();
    await Promise.race([health.check(service), changed, aborted]);
    for (let sent: HealthStatus | 'SERVICE_UNKNOWN' | undefined; ; ) {
      changed = nextWake();
      const status = health.get(service) ?? 'SERVICE_UNKNOWN';
      if (status !== sent) await out.send(encodeStatus(ServingStatus[status]));
      sent = status;
      if (health.ended) return undefined;
      await Promise.race([changed, aborted]);
    }
  } finally {
    // A call that failed is over without its signal having aborted.
    leave();
  }

  function nextWake(): Promise<void> {
    return new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

function answer(service: string, status: HealthStatus | undefined): Buffer {
  if (!status) throw new ProtocolError('NOT_FOUND', `there is no service "${service}" here`);
  return encodeStatus(ServingStatus[status]);
}

function decodeList(bytes: Buffer): void {
  decodeGenerated(HealthListRequestSchema, bytes);
}

function decodeService(bytes: Buffer): string {
  return decodeGenerated(HealthCheckRequestSchema, bytes).service;
}

function encodeStatus(status: ServingStatus): Buffer {
  return encodeGenerated(HealthCheckResponseSchema, { status });
}
