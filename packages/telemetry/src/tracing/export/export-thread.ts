import { Worker } from 'node:worker_threads';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { ExportNote } from './export-notes.js';
import type { OtlpTarget } from './otlp-exporter.js';
import { STARTED, type ThreadAnswer, type ThreadNote, type ThreadRequest } from './serve-exports.js';
import type { SpanMessage } from './span-message.js';

/** What the thread is given: where spans go to, and what all of them say. */
export interface ThreadSetup {
  readonly target: OtlpTarget;
  readonly resource: { readonly attributes: ReadableSpan['attributes']; readonly schemaUrl?: string | undefined };
  readonly instrumentationScope: ReadableSpan['instrumentationScope'];
}

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

/**
 * For what lives only while a batch is encoded; Node's own default costs 20 MiB more. The whole heap has no limit of its
 * own, for a thread that meets that can end the process: what bounds it is the batch.
 */
const YOUNG_GENERATION_MIB = 16;

/** The life of one thread that exports. It keeps the process alive only while somebody waits for its answer. */
export class ExportThread {
  /** Rejects when the exporter can't be loaded. */
  readonly started: Promise<void>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = STARTED;
  #endedBy: Error | undefined;

  /** @param onNote is told what there is to say of an export that was a success. Default: nobody is. */
  constructor(
    { target, resource: { attributes, schemaUrl }, instrumentationScope }: ThreadSetup,
    onNote: (note: ExportNote) => void = () => {},
  ) {
    const script = new URL('./otlp-thread.js', import.meta.url);
    this.#worker = new Worker(script, {
      name: 'otlp-exporter',
      workerData: { target, resource: { attributes, schemaUrl }, instrumentationScope } satisfies ThreadSetup,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
      // What this process was started with may be for its own script alone. What NODE_OPTIONS says holds for both.
      execArgv: [],
    });
    this.#worker.on('message', (message: ThreadAnswer | ThreadNote) => {
      if ('note' in message) onNote(message.note);
      else this.#settle(message.id, message.error);
    });
    this.#worker.on('error', (error) => this.#endBy(error));
    this.#worker.on('exit', () => this.#endBy(new Error('the thread that exports spans has ended')));
    this.started = this.#answer(STARTED);
    // Whoever asks for something else hears of it, too.
    this.started.catch(() => {});
  }

  get ended(): boolean {
    return this.#endedBy !== undefined;
  }

  /** @throws what the exporter says, and when the thread ends */
  export(spans: SpanMessage[]): Promise<void> {
    return this.#ask(spans);
  }

  /** Ends the thread when its exporter is done. */
  async end(): Promise<void> {
    await this.#ask('end').catch(() => {});
    await this.terminate();
  }

  /** Ends the thread now. Whoever waits hears that it has ended. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  async #ask(spans: ThreadRequest['spans']): Promise<void> {
    if (this.#endedBy) throw this.#endedBy;
    const id = ++this.#lastId;
    this.#worker.postMessage({ id, spans } satisfies ThreadRequest);
    await this.#answer(id);
  }

  #answer(id: number): Promise<void> {
    this.#worker.ref();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
  }

  #settle(id: number, error: string | undefined): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (error === undefined) waiting?.resolve();
    else waiting?.reject(new Error(error));
  }

  #endBy(error: Error): void {
    this.#endedBy ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
