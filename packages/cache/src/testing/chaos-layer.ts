import { nodeTimers, type Timers } from '@granary/resilience';
import type { Entry, GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from '../layer.js';

export type ChaosOperation =
  | 'get'
  | 'getEntry'
  | 'getMany'
  | 'set'
  | 'setMany'
  | 'delete'
  | 'deleteMany'
  | 'clear'
  | 'clearPrefix';

/**
 * What goes wrong with an operation:
 * - `throws`: it throws `error`, at once; `rejects`: it gives a promise that is rejected with it;
 * - `hangs`: it does nothing until it is aborted, or goes on when {@link ChaosLayer.release} is called;
 * - `slow`: it is done after `ms`, by the layer's timers;
 * - `lies`: a read gives this value, or with `stale` the value that the last write replaced (else nothing); a delete
 *   answers the contrary; a write changes nothing;
 * - `loses`: a write or delete is acknowledged and not done; a read finds nothing.
 */
export type Fault<V> =
  | { readonly kind: 'throws' | 'rejects'; readonly error?: unknown }
  | { readonly kind: 'hangs' }
  | { readonly kind: 'slow'; readonly ms: number }
  | { readonly kind: 'lies'; readonly value: V }
  | { readonly kind: 'lies'; readonly stale: true }
  | { readonly kind: 'loses' };

export interface RandomFaults<V> {
  /** The same seed gives the same faults for the same operations. */
  readonly seed: number;
  /** Share of operations that go wrong, 0 to 1. */
  readonly rate: number;
  readonly faults: readonly Fault<V>[];
  /** Default: all. */
  readonly operations?: readonly ChaosOperation[] | undefined;
}

export interface ChaosLayerOptions<V> {
  /** Default: none but those that {@link ChaosLayer.plan} gives. */
  readonly random?: RandomFaults<V> | undefined;
  /** For what is slow. Default: Node's. */
  readonly timers?: Timers | undefined;
}

/**
 * A layer that goes wrong as a test wants it to, and is otherwise the layer that it wraps. Faults that are planned come
 * first, in the order of the plan; else chance decides, where there is one.
 */
export class ChaosLayer<V> implements Layer<V> {
  readonly name: string;
  readonly lifetime: Layer<V>['lifetime'];
  /** The layer itself, to look behind the chaos. */
  readonly inner: Layer<V>;
  /** How many operations of each kind there were, whatever became of them. */
  readonly calls: Record<ChaosOperation, number> = {
    get: 0,
    getEntry: 0,
    getMany: 0,
    set: 0,
    setMany: 0,
    delete: 0,
    deleteMany: 0,
    clear: 0,
    clearPrefix: 0,
  };
  readonly getEntry?: (key: string, options?: GetOptions) => MaybePromise<Entry<V> | undefined>;
  readonly getMany?: (keys: readonly string[], options?: GetOptions) => MaybePromise<Map<string, Entry<V>>>;
  readonly setMany?: (values: ReadonlyMap<string, V>, options?: SetOptions) => MaybePromise<void>;
  readonly deleteMany?: (keys: readonly string[], options?: OpOptions) => MaybePromise<number>;
  readonly clear?: (options?: OpOptions) => MaybePromise<void>;
  readonly clearPrefix?: (prefix: string, options?: OpOptions) => MaybePromise<void>;
  readonly #plans = new Map<ChaosOperation, { fault: Fault<V> | undefined; times: number }[]>();
  readonly #hanging = new Set<() => void>();
  readonly #replaced = new Map<string, V | undefined>();
  readonly #current = new Map<string, V>();
  readonly #random: RandomFaults<V> | undefined;
  readonly #next: () => number;
  readonly #timers: Timers;

  constructor(inner: Layer<V>, { random, timers = nodeTimers }: ChaosLayerOptions<V> = {}) {
    this.name = inner.name;
    this.lifetime = inner.lifetime;
    this.inner = inner;
    this.#random = random;
    this.#next = numbersFrom(random?.seed ?? 0);
    this.#timers = timers;
    const { getEntry, getMany, setMany, deleteMany, clear, clearPrefix } = inner;
    if (getEntry) {
      this.getEntry = (key, opts) =>
        this.#do('getEntry', opts, () => getEntry.call(inner, key, opts), {
          lie: (fault) => entryOf(this.#lie(fault, key)),
          nothing: undefined,
        });
    }
    if (getMany) {
      this.getMany = (keys, opts) =>
        this.#do('getMany', opts, () => getMany.call(inner, keys, opts), {
          lie: (fault) => {
            const lies = keys.map((key) => [key, entryOf(this.#lie(fault, key))] as const);
            return new Map(lies.filter((each): each is [string, Entry<V>] => each[1] !== undefined));
          },
          nothing: new Map(),
        });
    }
    if (setMany) {
      this.setMany = (values, opts) =>
        this.#do(
          'setMany',
          opts,
          () => {
            for (const [key, value] of values) this.#remember(key, value);
            return setMany.call(inner, values, opts);
          },
          { lie: () => undefined, nothing: undefined },
        );
    }
    if (deleteMany) {
      this.deleteMany = (keys, opts) =>
        this.#do('deleteMany', opts, () => deleteMany.call(inner, keys, opts), {
          lie: () => keys.length,
          nothing: 0,
        });
    }
    if (clear) {
      this.clear = (opts) =>
        this.#do('clear', opts, () => clear.call(inner, opts), { lie: () => undefined, nothing: undefined });
    }
    if (clearPrefix) {
      this.clearPrefix = (prefix, opts) =>
        this.#do('clearPrefix', opts, () => clearPrefix.call(inner, prefix, opts), {
          lie: () => undefined,
          nothing: undefined,
        });
    }
  }

  /** How many operations hang. */
  get hanging(): number {
    return this.#hanging.size;
  }

  /** The next operations of this kind go wrong like this, after those that are planned; undefined: they go well. */
  plan(operation: ChaosOperation, fault: Fault<V> | undefined, times = 1): this {
    const plan = this.#plans.get(operation) ?? [];
    plan.push({ fault, times });
    this.#plans.set(operation, plan);
    return this;
  }

  /** All operations (or all of one kind) go wrong like this from now on, until {@link heal}. */
  always(fault: Fault<V>, operation?: ChaosOperation): this {
    const operations = operation === undefined ? (Object.keys(this.calls) as ChaosOperation[]) : [operation];
    for (const each of operations) this.plan(each, fault, Number.POSITIVE_INFINITY);
    return this;
  }

  /** Forgets all plans. What hangs goes on hanging. */
  heal(): void {
    this.#plans.clear();
  }

  /** Lets what hangs go on, as if it had only been slow. */
  release(): void {
    for (const goOn of [...this.#hanging]) goOn();
  }

  get(key: string, options?: GetOptions): MaybePromise<V | undefined> {
    return this.#do('get', options, () => this.inner.get(key, options), {
      lie: (fault) => this.#lie(fault, key),
      nothing: undefined,
    });
  }

  set(key: string, value: V, options?: SetOptions): MaybePromise<void> {
    const write = () => {
      this.#remember(key, value);
      return this.inner.set(key, value, options);
    };
    return this.#do('set', options, write, { lie: () => undefined, nothing: undefined });
  }

  delete(key: string, options?: OpOptions): MaybePromise<boolean> {
    return this.#do('delete', options, () => this.inner.delete(key, options), {
      lie: async () => (await this.inner.get(key)) === undefined,
      nothing: true,
    });
  }

  /** Never goes wrong, and lets what hangs go on. */
  close(): MaybePromise<void> {
    this.release();
    return this.inner.close();
  }

  #do<T>(
    operation: ChaosOperation,
    options: OpOptions | undefined,
    work: () => MaybePromise<T>,
    answers: { readonly lie: (fault: Fault<V>) => MaybePromise<T>; readonly nothing: T },
  ): MaybePromise<T> {
    this.calls[operation]++;
    const fault = this.#fault(operation);
    switch (fault?.kind) {
      case undefined:
        return work();
      case 'throws':
        throw fault.error ?? chaos(this.name, operation);
      case 'rejects':
        return Promise.reject(fault.error ?? chaos(this.name, operation));
      case 'hangs':
        return this.#hang(options?.signal, work);
      case 'slow':
        return this.#later(fault.ms, options?.signal, work);
      case 'lies':
        return answers.lie(fault);
      case 'loses':
        return answers.nothing;
    }
  }

  #fault(operation: ChaosOperation): Fault<V> | undefined {
    const plan = this.#plans.get(operation);
    const first = plan?.[0];
    if (plan !== undefined && first !== undefined) {
      if (--first.times <= 0) plan.shift();
      return first.fault;
    }
    const random = this.#random;
    if (random === undefined || !(random.operations?.includes(operation) ?? true)) return undefined;
    return this.#next() < random.rate ? random.faults[Math.floor(this.#next() * random.faults.length)] : undefined;
  }

  #hang<T>(signal: AbortSignal | undefined, work: () => MaybePromise<T>): Promise<T> {
    return this.#pause(signal, work, (goOn) => {
      this.#hanging.add(goOn);
      return () => this.#hanging.delete(goOn);
    });
  }

  #later<T>(ms: number, signal: AbortSignal | undefined, work: () => MaybePromise<T>): Promise<T> {
    return this.#pause(signal, work, (goOn) => {
      const timer = this.#timers.setTimeout(goOn, ms);
      return () => this.#timers.clearTimeout(timer);
    });
  }

  async #pause<T>(
    signal: AbortSignal | undefined,
    work: () => MaybePromise<T>,
    begin: (goOn: () => void) => () => void,
  ): Promise<T> {
    signal?.throwIfAborted();
    let end = (): unknown => undefined;
    let onAbort = (): void => {};
    try {
      await new Promise<void>((resolve, reject) => {
        onAbort = () => reject(signal?.reason);
        signal?.addEventListener('abort', onAbort, { once: true });
        end = begin(resolve);
      });
    } finally {
      end();
      signal?.removeEventListener('abort', onAbort);
    }
    return work();
  }

  #lie(fault: Fault<V>, key: string): V | undefined {
    return 'value' in fault ? fault.value : this.#replaced.get(key);
  }

  #remember(key: string, value: V): void {
    this.#replaced.set(key, this.#current.get(key));
    this.#current.set(key, value);
  }
}

function entryOf<V>(value: V | undefined): Entry<V> | undefined {
  return value === undefined ? undefined : { value, expiresAt: undefined };
}

const chaos = (layer: string, operation: string) => new Error(`${layer}: ${operation} fails, as the test wants it`);

/** Numbers from 0 to 1 that look random, the same for each seed. */
function numbersFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
