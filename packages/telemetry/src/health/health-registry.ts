import { ignoreLater } from '../ignore-later.js';
import { SecretNames } from '../logging/secrets/secret-names.js';
import type { CheckReport, HealthCheck, HealthCheckOptions, HealthReport, HealthStatus } from './health-check.js';
import { type CheckSettings, type CheckSurroundings, type HealthTimers, RegisteredCheck } from './registered-check.js';

const DEFAULT_TIMEOUT_MS = 5000;
const DEFAULT_FRESH_MS = 1000;
const DEFAULT_POLL_MS = 5000;
const LEAST_POLL_MS = 100;
/** The longest that Node's timers can wait. */
const MOST_MS = 2 ** 31 - 1;

/** Names become label values and keys. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/;

export interface HealthRegistryOptions {
  /** Most checks at a time. Default 100. */
  readonly maxChecks?: number | undefined;
  /** Most listeners at a time. Default 1000. */
  readonly maxListeners?: number | undefined;
  /** How often everything is looked at while somebody watches. Milliseconds, default 5000, at least 100. */
  readonly pollMs?: number | undefined;
  /** Milliseconds from some point in the past; never goes back. Default `performance.now`. */
  readonly clock?: (() => number) | undefined;
  /** Default: Node's, which don't keep the process alive. */
  readonly timers?: HealthTimers | undefined;
}

/** Told how everything is, as far as it is known, when the status of a check has changed. */
export type HealthListener = (report: HealthReport) => void;

/**
 * Named checks, and what they say together. Nothing runs by itself: a check runs when somebody asks and its last result
 * is no longer fresh, and regularly while somebody watches. Each runs once at a time, for everyone who asks.
 */
export class HealthRegistry {
  readonly #checks = new Map<string, RegisteredCheck>();
  readonly #listeners = new Set<{ readonly tell: HealthListener }>();
  readonly #maxChecks: number;
  readonly #maxListeners: number;
  readonly #pollMs: number;
  readonly #surroundings: CheckSurroundings;
  #watching = 0;
  /** The round of checks that is under way or was the last; undefined when nobody watches. */
  #round: symbol | undefined;
  #pollTimer: unknown;
  #closed = false;

  /** @throws RangeError that names the option which is wrong */
  constructor(options: HealthRegistryOptions = {}) {
    this.#maxChecks = within('maxChecks', options.maxChecks ?? 100, 1, 10_000);
    this.#maxListeners = within('maxListeners', options.maxListeners ?? 1000, 1, 100_000);
    this.#pollMs = within('pollMs', options.pollMs ?? DEFAULT_POLL_MS, LEAST_POLL_MS, MOST_MS);
    this.#surroundings = {
      clock: options.clock ?? (() => performance.now()),
      timers: options.timers ?? nodeTimers,
      secrets: new SecretNames(),
    };
  }

  /**
   * Adds a check.
   *
   * @param name up to 64 letters, digits, `_`, `.`, `:` and `-`
   * @returns a function that removes the check again
   * @throws TypeError when the name is none or taken, or the registry is closed
   * @throws RangeError when there are too many checks, or an option is out of range
   */
  register(name: string, check: HealthCheck, options: HealthCheckOptions = {}): () => void {
    if (this.#closed) throw new TypeError('the health registry is closed');
    if (!NAME.test(name))
      throw new TypeError(`${JSON.stringify(name)} is no name for a check; allowed: ${NAME.source}`);
    if (this.#checks.has(name)) throw new TypeError(`there is a check "${name}" already`);
    if (this.#checks.size >= this.#maxChecks)
      throw new RangeError(`there are ${this.#maxChecks} checks already (maxChecks)`);
    const settings: CheckSettings = {
      required: options.required ?? true,
      timeoutMs: within('timeoutMs', options.timeoutMs ?? DEFAULT_TIMEOUT_MS, 1, MOST_MS),
      freshMs: within('freshMs', options.freshMs ?? DEFAULT_FRESH_MS, 0, MOST_MS),
      neededBy: options.neededBy && new Set(options.neededBy),
    };
    const registered = new RegisteredCheck(name, check, settings, this.#surroundings, () => {
      if (this.#checks.get(name) === registered) this.#tell();
    });
    this.#checks.set(name, registered);
    return () => {
      if (this.#checks.get(name) === registered) this.unregister(name);
    };
  }

  /** Removes a check; a run that is under way concerns nobody any longer. @returns whether it was there */
  unregister(name: string): boolean {
    const check = this.#checks.get(name);
    if (!check) return false;
    this.#checks.delete(name);
    const { last } = check;
    check.close();
    if (last && last.status !== 'healthy') this.#tell();
    return true;
  }

  /**
   * How everything is, or what a part of the program needs. Runs the checks whose results are not fresh; takes as long
   * as the slowest, and no longer than the longest time limit.
   *
   * @param part a name that `neededBy` lists; without it all checks count
   */
  async report(part?: string): Promise<HealthReport> {
    const answers: (CheckReport | Promise<CheckReport>)[] = [];
    for (const check of this.#of(part)) answers.push(check.ask());
    return together(await Promise.all(answers));
  }

  /** As {@link report}, but runs nothing: what the checks said last, without those that never ran. */
  last(part?: string): HealthReport {
    const reports: CheckReport[] = [];
    for (const { last } of this.#of(part)) if (last) reports.push(last);
    return together(reports);
  }

  /**
   * Calls back when a check's status has changed, whoever caused it to run. What the listener throws is ignored.
   *
   * @returns a function that ends it
   * @throws RangeError when there are too many listeners
   */
  onChange(listener: HealthListener): () => void {
    if (this.#listeners.size >= this.#maxListeners)
      throw new RangeError(`there are ${this.#maxListeners} listeners already (maxListeners)`);
    const entry = { tell: listener };
    if (!this.#closed) this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
    };
  }

  /** As {@link onChange}, and until it is ended all checks are run again and again, `pollMs` after the last round. */
  watch(listener: HealthListener): () => void {
    const leave = this.onChange(listener);
    this.#watching++;
    if (this.#watching === 1 && !this.#closed) this.#poll();
    let watching = true;
    return () => {
      leave();
      if (!watching) return;
      watching = false;
      this.#watching--;
      if (this.#watching === 0) this.#stopPolling();
    };
  }

  /** Whether anybody watches: then checks run by themselves. */
  get watched(): boolean {
    return this.#watching > 0;
  }

  /** Ends all runs and listeners. What was found last can still be asked for. May be called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopPolling();
    this.#listeners.clear();
    for (const check of this.#checks.values()) check.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  *#of(part: string | undefined): Generator<RegisteredCheck> {
    for (const check of this.#checks.values()) {
      const { neededBy } = check.settings;
      if (part === undefined || neededBy === undefined || neededBy.has(part)) yield check;
    }
  }

  #tell(): void {
    if (this.#listeners.size === 0) return;
    const report = this.last();
    for (const { tell } of [...this.#listeners]) {
      try {
        ignoreLater(tell(report));
      } catch {
        // Who listens must not break what it listens to.
      }
    }
  }

  #poll(): void {
    // A round that is over after the last watcher left, or beside that of a new one, goes no further.
    const round = Symbol();
    this.#round = round;
    const next = () => {
      if (this.#round === round)
        this.#pollTimer = this.#surroundings.timers.setTimeout(() => this.#poll(), this.#pollMs);
    };
    void this.report().then(next, next);
  }

  #stopPolling(): void {
    this.#round = undefined;
    this.#surroundings.timers.clearTimeout(this.#pollTimer);
  }
}

function together(checks: readonly CheckReport[]): HealthReport {
  let status: HealthStatus = 'healthy';
  for (const check of checks) {
    if (check.status === 'unhealthy' && check.required) status = 'unhealthy';
    else if (check.status !== 'healthy' && status === 'healthy') status = 'degraded';
  }
  return { status, checks };
}

function within(name: string, value: number, least: number, most: number): number {
  if (!(value >= least && value <= most)) throw new RangeError(`${name}: found ${value}; allowed: ${least} to ${most}`);
  return value;
}

const nodeTimers: HealthTimers = {
  setTimeout: (callback, ms) => setTimeout(callback, ms).unref(),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout | undefined),
};
