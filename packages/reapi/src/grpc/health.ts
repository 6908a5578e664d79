import type { MaybePromise } from '@granary/blobs';
import type { HealthRegistry } from '@granary/telemetry';
import { ProtocolError } from '../services/protocol-error.js';

/** Most calls of `Watch` at a time: each lives as long as its client wants. */
const MAX_WATCHERS = 1000;

/** The services that are of no use while what they store can't be reached. Capabilities can always be told. */
export const STORAGE_SERVICES: readonly string[] = [
  'build.bazel.remote.execution.v2.ContentAddressableStorage',
  'build.bazel.remote.execution.v2.ActionCache',
  'google.bytestream.ByteStream',
];

export type HealthStatus = 'SERVING' | 'NOT_SERVING';

/**
 * Whether the server and each of its services take work, for `grpc.health.v1` and for whoever else asks. Open to
 * everyone: load balancers bring no credentials.
 *
 * A service takes work when nobody has {@link set} it to NOT_SERVING and nothing that it needs is unhealthy in the
 * registry that is {@link follow followed}.
 */
export class Health {
  readonly #statuses = new Map<string, HealthStatus>();
  readonly #watchers = new Set<() => void>();
  #followed: HealthRegistry | undefined;
  /** Ends our watch of the registry, which lasts as long as somebody watches us: meanwhile its checks run by themselves. */
  #unwatch: (() => void) | undefined;
  #ended = false;

  /** @param services full names; the empty one, which stands for the server, is always there */
  constructor(services: readonly string[]) {
    for (const service of ['', ...services]) this.#statuses.set(service, 'SERVING');
  }

  /** @param service its full name; all of them and the server when it is left out */
  set(status: HealthStatus, service?: string): void {
    for (const name of service === undefined ? [...this.#statuses.keys()] : [service]) this.#statuses.set(name, status);
    this.#wake();
  }

  /**
   * Lets a registry decide too: a service is NOT_SERVING while something required is unhealthy that lists the service's
   * full name in `neededBy`, or lists nothing; the server is while anything required is. Takes the place of a registry
   * that was followed before.
   */
  follow(registry: HealthRegistry): void {
    this.#stopFollowing();
    if (this.#ended) return;
    this.#followed = registry;
    if (this.#watchers.size > 0) this.#watchFollowed();
    this.#wake();
  }

  /** Whether the server has taken its last call; who watches is told so and let go. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Says NOT_SERVING for good, and ends the calls that watch: they would keep a server from stopping. */
  end(): void {
    this.#ended = true;
    this.#stopFollowing();
    this.set('NOT_SERVING');
  }

  /** The full names of the services that are known, and the empty one. */
  get services(): readonly string[] {
    return [...this.#statuses.keys()];
  }

  /**
   * The status of a service, or of the server for the empty name, as far as it is known; undefined for one that is not
   * known.
   */
  get(service: string): HealthStatus | undefined {
    const status = this.#statuses.get(service);
    if (status !== 'SERVING' || !this.#followed) return status;
    return this.#followed.last(service || undefined).status === 'unhealthy' ? 'NOT_SERVING' : 'SERVING';
  }

  /** As {@link get}, but looks first, where it was not looked just now. */
  check(service: string): MaybePromise<HealthStatus | undefined> {
    if (this.#statuses.get(service) !== 'SERVING' || !this.#followed) return this.get(service);
    return this.#followed.report(service || undefined).then(() => this.get(service));
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
      if (this.#watchers.size === 0) this.#unwatchFollowed();
    };
    // A signal that has aborted says nothing more, and who came with it would stay for ever.
    if (signal.aborted) return leave;
    this.#watchers.add(changed);
    signal.addEventListener('abort', leave, { once: true });
    if (this.#watchers.size === 1) this.#watchFollowed();
    return leave;
  }

  #watchFollowed(): void {
    this.#unwatch ??= this.#followed?.watch(() => this.#wake());
  }

  #unwatchFollowed(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  #stopFollowing(): void {
    this.#unwatchFollowed();
    this.#followed = undefined;
  }

  #wake(): void {
    for (const wake of [...this.#watchers]) wake();
  }
}
