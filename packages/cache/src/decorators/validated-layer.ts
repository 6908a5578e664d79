import { InvalidOptionError, quietly, toMaybePromise } from '@granary/resilience';
import { type Logger, nullLogger } from '@granary/telemetry';
import { InvalidValueError } from '../errors.js';
import type { Entry, GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from '../layer.js';
import { LayerDecorator } from './layer-decorator.js';
import type { Validator } from './validators.js';
import { whenAnswered } from './when-answered.js';

/**
 * What becomes of a value that isn't right:
 * - `strict`: the operation throws an {@link InvalidValueError};
 * - `warn`: it is logged, and passes;
 * - `skip`: on entry it isn't stored, and what the key had is deleted, because it is out of date; on exit it is a miss.
 */
export type ValidationPolicy = 'strict' | 'warn' | 'skip';

export interface ValidatedLayerOptions {
  /** For what goes in. Default `strict`; `off` checks nothing. */
  readonly onEntry?: ValidationPolicy | 'off' | undefined;
  /** For what comes out. Default `skip`, so that what another version stored is loaded anew; `off` checks nothing. */
  readonly onExit?: ValidationPolicy | 'off' | undefined;
  /** For `warn`. Default: nobody. */
  readonly logger?: Logger | undefined;
}

type Direction = 'entry' | 'exit';
const POLICIES: readonly unknown[] = ['strict', 'warn', 'skip', 'off'];

/**
 * Checks values at a layer's border: what goes in, so that nobody stores rubbish, and what comes out, so that nobody is
 * given what an older version, another program or a fault has left there. A validator that throws finds a value wrong.
 * Where validators answer at once so does this, except for many keys. Writes to a key keep their order in any case.
 */
export class ValidatedLayer<V> extends LayerDecorator<V> {
  readonly #validator: Validator;
  readonly #policies: Readonly<Record<Direction, ValidationPolicy | 'off'>>;
  readonly #logger: Logger;
  /** Writes that are still being checked, by key. */
  readonly #entering = new Map<string, Promise<void>>();

  /**
   * @param validator `ofType`, `atMostBytes`, `fitting` a schema, `allOf` of several, or a function of your own
   * @throws InvalidOptionError that names the option
   */
  constructor(layer: Layer<V>, validator: Validator, options: ValidatedLayerOptions = {}) {
    const { onEntry = 'strict', onExit = 'skip', logger = nullLogger } = options;
    if (typeof validator !== 'function') throw new InvalidOptionError('validator', 'a function', validator);
    for (const [option, policy] of Object.entries({ onEntry, onExit })) {
      if (!POLICIES.includes(policy)) throw new InvalidOptionError(option, 'strict, warn, skip or off', policy);
    }
    super(layer);
    this.#validator = validator;
    this.#policies = { entry: onEntry, exit: onExit };
    this.#logger = logger;
    const { getEntry, getMany, setMany, deleteMany, clear, clearPrefix } = layer;
    if (getEntry) {
      this.getEntry = (key, opts) =>
        whenAnswered(
          getEntry.call(layer, key, opts),
          (entry) => entry && this.#ifRight('exit', key, entry.value, entry),
        );
    }
    if (getMany)
      this.getMany = (keys, opts) => whenAnswered(getMany.call(layer, keys, opts), (found) => this.#right(found));
    if (setMany) {
      this.setMany = (values, opts) =>
        this.#inOrder(
          [...values.keys()],
          () => this.#sorted(values),
          async ({ right, wrong }) => {
            await Promise.all([
              setMany.call(layer, right, opts),
              ...wrong.map((key) => this.#deleteOutdated(key, opts)),
            ]);
          },
        );
    }
    if (deleteMany) {
      this.deleteMany = (keys, opts) => this.#inOrder(keys, noCheck, () => deleteMany.call(layer, keys, opts));
    }
    if (clear) this.clear = (opts) => this.#inOrder([...this.#entering.keys()], noCheck, () => clear.call(layer, opts));
    if (clearPrefix) {
      this.clearPrefix = (prefix, opts) =>
        this.#inOrder(
          [...this.#entering.keys()].filter((key) => key.startsWith(prefix)),
          noCheck,
          () => clearPrefix.call(layer, prefix, opts),
        );
    }
  }

  override get(key: string, options?: GetOptions): MaybePromise<V | undefined> {
    return whenAnswered(this.layer.get(key, options), (value) =>
      value === undefined ? undefined : this.#ifRight('exit', key, value, value),
    );
  }

  override set(key: string, value: V, options?: SetOptions): MaybePromise<void> {
    return this.#inOrder(
      [key],
      () => this.#passes('entry', key, value),
      (passes) => (passes ? this.layer.set(key, value, options) : this.#deleteOutdated(key, options)),
    );
  }

  override delete(key: string, options?: OpOptions): MaybePromise<boolean> {
    return this.#inOrder([key], noCheck, () => this.layer.delete(key, options));
  }

  #ifRight<T>(direction: Direction, key: string, value: unknown, answer: T): MaybePromise<T | undefined> {
    return whenAnswered(this.#passes(direction, key, value), (passes) => (passes ? answer : undefined));
  }

  async #right(found: Map<string, Entry<V>>): Promise<Map<string, Entry<V>>> {
    const right = new Map<string, Entry<V>>();
    for (const [key, entry] of found) if (await this.#passes('exit', key, entry.value)) right.set(key, entry);
    return right;
  }

  async #sorted(values: ReadonlyMap<string, V>): Promise<{ right: Map<string, V>; wrong: string[] }> {
    const right = new Map<string, V>();
    const wrong: string[] = [];
    for (const [key, value] of values) {
      if (await this.#passes('entry', key, value)) right.set(key, value);
      else wrong.push(key);
    }
    return { right, wrong };
  }

  /** Checks and then writes, after those writes to the same keys that came before and are still being checked. */
  #inOrder<C, T>(
    keys: readonly string[],
    check: () => MaybePromise<C>,
    write: (checked: C) => MaybePromise<T>,
  ): MaybePromise<T> {
    const earlier = this.#entering.size === 0 ? [] : keys.flatMap((key) => this.#entering.get(key) ?? []);
    const checked = earlier.length === 0 ? check() : Promise.all(earlier).then(check);
    if (!(checked instanceof Promise)) return write(checked);
    // Wrapped, so that those who come after wait for the write to begin, and not for it to end.
    const begun = checked.then((result) => ({ answer: write(result) }));
    const entered: Promise<void> = begun.then(
      () => this.#leave(keys, entered),
      () => this.#leave(keys, entered),
    );
    for (const key of keys) this.#entering.set(key, entered);
    return begun.then(({ answer }) => answer);
  }

  #leave(keys: readonly string[], entered: Promise<void>): void {
    for (const key of keys) if (this.#entering.get(key) === entered) this.#entering.delete(key);
  }

  #deleteOutdated(key: string, options: SetOptions | undefined): MaybePromise<void> {
    return whenAnswered(this.layer.delete(key, { signal: options?.signal }), () => undefined);
  }

  /** Whether the value goes on; throws where the policy is strict. */
  #passes(direction: Direction, key: string, value: unknown): MaybePromise<boolean> {
    const policy = this.#policies[direction];
    if (policy === 'off') return true;
    return whenAnswered(this.#problem(key, value), (problem) => {
      if (problem === undefined) return true;
      if (policy === 'strict') throw new InvalidValueError(`${this.name}: the value of ${key} ${problem}`);
      if (policy === 'skip') return false;
      quietly(() =>
        this.#logger.warning(
          '{Layer}: the value of {Key} {Problem} (on {Direction})',
          this.name,
          key,
          problem,
          direction,
        ),
      );
      return true;
    });
  }

  #problem(key: string, value: unknown): MaybePromise<string | undefined> {
    try {
      const problem = toMaybePromise(this.#validator(value, key));
      return problem instanceof Promise ? problem.catch(describeError) : problem;
    } catch (error) {
      return describeError(error);
    }
  }
}

const noCheck = (): void => {};

function describeError(error: unknown): string {
  return `can't be validated (${error instanceof Error ? error.message : String(error)})`;
}
