import { Flight } from '@granary/resilience';
import type { Span } from '@granary/telemetry';
import type { Entry } from '../../layer.js';
import type { Loader, LoadOptions } from '../options/load-options.js';
import type { Ticket } from '../tickets.js';

/** One load of a key, which all callers share, and what its loader is told. */
export class Load<V> extends Flight<V | undefined> {
  readonly key: string;
  readonly loader: Loader<V>;
  readonly options: LoadOptions;
  readonly ticket: Ticket;
  /** For the tags that are deleted while it loads. */
  readonly mark: number;
  /** What was there before, no longer fresh or about to be refreshed. */
  stale: Entry<V> | undefined;
  /** Whether it began before the value was stale: there may be a fresh one still. */
  isRefresh = false;
  /** Whether it has answered with what is stale, and goes on: who comes later is answered that too, while it may be. */
  answeredStale = false;
  /** Index of the layer that had the value after all. */
  foundAt = -1;
  span: Span | undefined;
  /** The loader may change it. */
  ttlMs: number | undefined;
  soft: unknown;
  hard: unknown;
  readonly #abandoned: (load: Load<V>) => void;
  #done = false;
  #whenDone: Promise<void> | undefined;
  #resolveDone: (() => void) | undefined;

  constructor(
    key: string,
    loader: Loader<V>,
    options: LoadOptions,
    ticket: Ticket,
    mark: number,
    abandoned: (load: Load<V>) => void,
  ) {
    super();
    this.key = key;
    this.loader = loader;
    this.options = options;
    this.ttlMs = options.ttlMs;
    this.ticket = ticket;
    this.mark = mark;
    this.#abandoned = abandoned;
  }

  get isDone(): boolean {
    return this.#done;
  }

  /** Resolves when the loader has ended or nobody waits for it any more. */
  get whenDone(): Promise<void> {
    this.#whenDone ??= this.#done
      ? Promise.resolve()
      : new Promise((resolve) => {
          this.#resolveDone = resolve;
        });
    return this.#whenDone;
  }

  end(): void {
    this.#done = true;
    this.#resolveDone?.();
  }

  protected override abandon(reason: unknown): void {
    super.abandon(reason);
    this.#abandoned(this);
  }
}
