/** Most keys whose error is remembered. */
const MAX_ERRORS = 1000;

/** What loaders threw lately, for those who asked to have it remembered. Bounded; the oldest goes first. */
export class RememberedErrors {
  readonly #clock: () => number;
  readonly #errors = new Map<string, { readonly error: unknown; readonly since: number; readonly ttlMs: number }>();

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  get(key: string): { readonly error: unknown } | undefined {
    if (this.#errors.size === 0) return undefined;
    const remembered = this.#errors.get(key);
    if (remembered === undefined) return undefined;
    const age = this.#clock() - remembered.since;
    // A wall clock that is set back would have the loader rest until it has caught up.
    if (age >= 0 && age < remembered.ttlMs) return remembered;
    this.#errors.delete(key);
    return undefined;
  }

  set(key: string, error: unknown, ttlMs: number): void {
    this.#errors.delete(key);
    this.#errors.set(key, { error, since: this.#clock(), ttlMs });
    if (this.#errors.size <= MAX_ERRORS) return;
    for (const oldest of this.#errors.keys()) {
      this.#errors.delete(oldest);
      return;
    }
  }

  delete(key: string): void {
    if (this.#errors.size > 0) this.#errors.delete(key);
  }

  clear(): void {
    this.#errors.clear();
  }
}
