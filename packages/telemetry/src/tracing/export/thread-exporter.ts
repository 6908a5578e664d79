import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { ExportThread, type ThreadSetup } from './export-thread.js';
import { messageOf } from './span-message.js';

type Result = Parameters<Parameters<SpanExporter['export']>[1]>[0];

/**
 * Exports spans by OTLP from a thread of its own (decision 018). A thread that dies takes with it what it was
 * exporting, and the next export starts another.
 */
export class ThreadExporter implements SpanExporter {
  readonly #newThread: () => ExportThread;
  #thread: ExportThread;
  #ended = false;

  private constructor(newThread: () => ExportThread, thread: ExportThread) {
    this.#newThread = newThread;
    this.#thread = thread;
  }

  /**
   * @param create makes a thread
   * @throws when the exporter can't be loaded
   */
  static async start(
    setup: ThreadSetup,
    create = (given: ThreadSetup) => new ExportThread(given),
  ): Promise<ThreadExporter> {
    const newThread = () => create(setup);
    const thread = newThread();
    await thread.started;
    return new ThreadExporter(newThread, thread);
  }

  export(spans: ReadableSpan[], done: (result: Result) => void): void {
    this.#send(spans).then(
      () => done({ code: 0 }),
      (error: Error) => done({ code: 1, error }),
    );
  }

  /** Takes as long as the exports that are on their way. */
  async shutdown(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#thread.end();
  }

  /** Ends at once, with the exports that are on their way. */
  abandon(): Promise<void> {
    this.#ended = true;
    return this.#thread.terminate();
  }

  async #send(spans: ReadableSpan[]): Promise<void> {
    if (this.#ended) throw new Error('the exporter was shut down');
    if (this.#thread.ended) this.#thread = this.#newThread();
    await this.#thread.export(spans.map(messageOf));
  }
}
