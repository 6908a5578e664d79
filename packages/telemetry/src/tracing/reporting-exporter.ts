import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import type { Logger } from '../logger.js';
import { shown } from './recorded-error.js';

type Result = Parameters<Parameters<SpanExporter['export']>[1]>[0];

const SUCCESS: Result = { code: 0 };

/**
 * Says in the log when spans can't be exported, once until they can again. Whoever gives it spans hears only of
 * successes: what failed has been said, there is nobody else to tell, and a processor that hears of a failure at the end
 * would leave the exporter open.
 */
export class ReportingExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #target: string;
  readonly #logger: Logger;
  #failing = false;
  #lost = 0;

  /** @param target where the spans go, for the log */
  constructor(exporter: SpanExporter, target: string, logger: Logger) {
    this.#exporter = exporter;
    this.#target = target;
    this.#logger = logger;
  }

  export(spans: ReadableSpan[], done: (result: Result) => void): void {
    const finish = (result: Result) => {
      try {
        if (result.code === SUCCESS.code) this.#succeeded();
        else this.#failed(spans.length, result.error);
      } catch {
        // A logger that fails must not stop the export.
      }
      done(SUCCESS);
    };
    try {
      this.#exporter.export(spans, finish);
    } catch (error) {
      finish({ code: 1, error: error as Error });
    }
  }

  forceFlush(): Promise<void> {
    return this.#exporter.forceFlush?.() ?? Promise.resolve();
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }

  #failed(spans: number, error: Error | undefined): void {
    this.#lost += spans;
    if (this.#failing) return;
    this.#failing = true;
    const reason = shown(error?.message || 'no reason was given');
    this.#logger.warning(
      'Spans can not be exported to {Endpoint} and are lost until they can: {Reason}',
      this.#target,
      reason,
    );
  }

  #succeeded(): void {
    if (!this.#failing) return;
    this.#failing = false;
    this.#logger.information('Spans are exported to {Endpoint} again; {Lost} were lost', this.#target, this.#lost);
    this.#lost = 0;
  }
}
