/**
 * A signal that is aborted when the user asks for the end, so that what was begun is put away. The second time the
 * process ends at once, as it does without any of this.
 */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #listener = (name: NodeJS.Signals): void => {
    this[Symbol.dispose]();
    this.#controller.abort(new InterruptedError(name));
  };

  constructor() {
    for (const name of SIGNALS) process.on(name, this.#listener);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    for (const name of SIGNALS) process.off(name, this.#listener);
  }
}

class InterruptedError extends Error {
  constructor(name: string) {
    super(`interrupted (${name})`);
  }
}

const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
