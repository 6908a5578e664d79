import type { Entry, MaybePromise } from '../../layer.js';
import type { Found, Lookups } from '../lookups.js';
import type { Lifetimes } from '../options/lifetimes.js';
import type { Load } from './load.js';
import type { Loads } from './loads.js';

export interface LookThenLoadParts<V> {
  readonly lookups: Lookups<V>;
  readonly loads: Loads<V>;
  readonly lifetimes: Lifetimes;
  readonly clock: () => number;
}

/** Asks the layers before the loader, and loads in the background what they have but not for long. */
export class LookThenLoad<V> {
  readonly #parts: LookThenLoadParts<V>;

  constructor(parts: LookThenLoadParts<V>) {
    this.#parts = parts;
  }

  /**
   * @param abortable whether the look-up ends with the load's signal
   * @param looked whether the first layer was asked already
   * @param held what that had
   */
  start(load: Load<V>, abortable: boolean, looked: boolean, held: Entry<V> | undefined): void {
    const { lookups, loads } = this.#parts;
    const options = abortable ? load : undefined;
    let found: MaybePromise<Found<V>>;
    try {
      found = lookups.findFor(load.key, load.ticket, options, load.options.span, looked, held);
    } catch (error) {
      // As from a TTL strategy: who comes next must not join a load that never ends.
      loads.fail(load, error);
      return;
    }
    if (!(found instanceof Promise)) {
      this.#loadUnlessFound(load, found);
      return;
    }
    found.then(
      (result) => this.#loadUnlessFound(load, result),
      (error: unknown) => loads.fail(load, error),
    );
  }

  #loadUnlessFound(load: Load<V>, { fresh, layer, stale }: Found<V>): void {
    const { loads } = this.#parts;
    if (fresh === undefined) {
      loads.run(load, stale);
      return;
    }
    loads.found(load, fresh, layer);
    const early = load.options.earlyRefresh ?? 0;
    if (early === 0 || !this.#endsSoon(fresh, early, load.options.ttlMs) || !loads.hasRoom) return;
    if (loads.get(load.key) !== undefined) return;
    const refresh = loads.begin(load.key, load.loader, load.options);
    refresh.isRefresh = true;
    loads.detach(refresh);
    loads.run(refresh, fresh);
  }

  /** Whether less than this fraction of its lifetime is left. */
  #endsSoon({ expiresAt, writtenAt }: Entry<V>, fraction: number, ttlMs: number | undefined): boolean {
    if (expiresAt === undefined) return false;
    const lifetime = writtenAt === undefined ? (ttlMs ?? this.#parts.lifetimes.ttlMs) : expiresAt - writtenAt;
    return lifetime !== undefined && expiresAt - this.#parts.clock() < lifetime * fraction;
  }
}
