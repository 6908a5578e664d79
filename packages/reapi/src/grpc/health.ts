import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../gen/grpc/health/v1/health_pb.js';
import { ProtocolError } from '../services/protocol-error.js';
import { type Endpoint, serverStream, unary } from './endpoint.js';
import { decodeGenerated, encodeGenerated } from './generated-message.js';
import type { Edge } from './running-call.js';

const SERVICE = 'grpc.health.v1.Health';

/** Most calls of `Watch` at a time: each lives as long as its client wants. */
const MAX_WATCHERS = 1000;

export type HealthStatus = 'SERVING' | 'NOT_SERVING';

/**
 * Whether the server and each of its services take work, for `grpc.health.v1` and for whoever else asks. Open to
 * everyone: load balancers bring no credentials.
 */
export class Health {
  readonly #statuses = new Map<string, HealthStatus>();
  readonly #watchers = new Set<() => void>();
  #ended = false;

  /** @param services full names; the empty one, which stands for the server, is always there */
  constructor(services: readonly string[]) {
    for (const service of ['', ...services]) this.#statuses.set(service, 'SERVING');
  }

  /** @param service its full name; all of them and the server when it is left out */
  set(status: HealthStatus, service?: string): void {
    for (const name of service === undefined ? [...this.#statuses.keys()] : [service]) this.#statuses.set(name, status);
    for (const wake of [...this.#watchers]) wake();
  }

  /** Whether the server has taken its last call; who watches is told so and let go. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Says NOT_SERVING for good, and ends the calls that watch: they would keep a server from stopping. */
  end(): void {
    this.#ended = true;
    this.set('NOT_SERVING');
  }

  /** The status of a service, or of the server for the empty name; undefined for one that is not known. */
  get(service: string): HealthStatus | undefined {
    return this.#statuses.get(service);
  }

  /**
   * Calls back at each change until the signal aborts or the function that is returned is called.
   *
   * @throws ProtocolError `UNSERVABLE` when too many watch already
   */
  watch(changed: () => void, signal: AbortSignal): () => void {
    if (this.#watchers.size === MAX_WATCHERS)
      throw new ProtocolError('UNSERVABLE', `${MAX_WATCHERS} clients watch already; use Check`);
    const leave = () => {
      this.#watchers.delete(changed);
      signal.removeEventListener('abort', leave);
    };
    // A signal that has aborted says nothing more, and who came with it would stay for ever.
    if (signal.aborted) return leave;
    this.#watchers.add(changed);
    signal.addEventListener('abort', leave, { once: true });
    return leave;
  }
}

export function healthEndpoints(edge: Edge, health: Health): Endpoint[] {
  const method = { service: SERVICE, right: undefined, decode: decodeService } as const;
  return [
    unary(edge, { ...method, name: 'Check' }, (service) => {
      const status = health.get(service);
      if (!status) throw new ProtocolError('NOT_FOUND', `there is no service "${service}" here`);
      return encodeStatus(ServingStatus[status]);
    }),

    serverStream(edge, { ...method, name: 'Watch' }, async (service, call, out) => {
      const { signal } = call;
      let wake: () => void = () => {};
      const leave = health.watch(() => wake(), signal);
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      aborted.catch(() => {});
      try {
        for (let sent: HealthStatus | 'SERVICE_UNKNOWN' | undefined; ; ) {
          const changed = new Promise<void>((resolve) => {
            wake = resolve;
          });
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
    }),
  ];
}

function decodeService(bytes: Buffer): string {
  return decodeGenerated(HealthCheckRequestSchema, bytes).service;
}

function encodeStatus(status: ServingStatus): Buffer {
  return encodeGenerated(HealthCheckResponseSchema, { status });
}
