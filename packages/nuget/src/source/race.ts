import { type EndListener, listenForAbort, unlistenForAbort } from '@granary/resilience';

/** Ends what others are still asked for: because one has answered, or because the caller went away. */
export class Enough implements EndListener {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;

  constructor(outer: AbortSignal | undefined) {
    this.#outer = outer;
    outer?.throwIfAborted();
    if (outer !== undefined) listenForAbort(outer, this);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(reason?: unknown): void {
    if (this.#outer !== undefined) unlistenForAbort(this.#outer, this);
    this.#controller.abort(reason ?? ENOUGH);
  }
}

/** Nobody hears of it. One of its own for each would cost more than the rest of the race. */
const ENOUGH = new Error('another one has answered');

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

/** What promises come to, the fastest first. Those that nobody waits for any more may fail as they like. */
export async function* inOrderOfAnswers<T>(promises: readonly Promise<T>[]): AsyncGenerator<Outcome<T>> {
  const left = new Map<number, Promise<readonly [number, Outcome<T>]>>();
  promises.forEach((promise, index) => {
    const settled = promise.then(
      (value) => [index, { value }] as const,
      (error: unknown) => [index, { error }] as const,
    );
    left.set(index, settled);
  });
  while (left.size > 0) {
    const [index, outcome] = await Promise.race(left.values());
    left.delete(index);
    yield outcome;
  }
}
