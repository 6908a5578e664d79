import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import type { Logger } from '../../logger.js';
import { shown } from '../spans/recorded-error.js';
import type { ExportNote, ForeignAnswer, PartialSuccess } from './export-notes.js';
import type { ExportPolicy } from './export-policy.js';
import { exported } from './exported.js';

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
  readonly #policy: ExportPolicy;
  #failing = false;
  #lost = 0;
  #silent = false;
  #toldInPart: string | undefined;
  #toldForeign = false;

  /**
   * @param target where the spans go, for the log
   * @param policy default: none
   */
  constructor(exporter: SpanExporter, target: string, logger: Logger, policy: ExportPolicy = (send) => send()) {
    this.#exporter = exporter;
    this.#target = target;
    this.#logger = logger;
    this.#policy = policy;
  }

  export(spans: ReadableSpan[], done: (result: Result) => void): void {
    this.#send(spans)
      .then(
        () => this.#succeeded(),
        (error: unknown) => this.#failed(spans.length, error),
      )
      // A logger that fails must not stop the export.
      .catch(() => {})
      .then(() => done(SUCCESS));
  }

  forceFlush(): Promise<void> {
    return this.#exporter.forceFlush?.() ?? Promise.resolve();
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }

  /** Says what there is to say of an export that was a success. */
  noted(note: ExportNote): void {
    if (this.#silent) return;
    try {
      if ('answer' in note) this.#answeredStrangely(note);
      else this.#tookInPart(note);
    } catch {
      // A logger that fails must not end the process, whose event this is told in.
    }
  }

  /**
   * Says that the collector took an export in part, once for each reason: one that goes on to refuse some spans does so
   * with every export, and numbers in its words are no other reason.
   */
  #tookInPart({ rejected, reason }: PartialSuccess): void {
    const told = reason.replace(/\d+/g, '');
    if (told === this.#toldInPart) return;
    this.#toldInPart = told;
    const said = shown(reason || 'no reason was given');
    if (rejected > 0)
      this.#logger.warning(
        '{Endpoint} refuses spans, which are lost, {Rejected} of those that it was just sent: {Reason}',
        this.#target,
        rejected,
        said,
      );
    else this.#logger.warning('{Endpoint} takes spans, and says: {Reason}', this.#target, said);
  }

  /** Once: a page is another one each time. */
  #answeredStrangely({ answer }: ForeignAnswer): void {
    if (this.#toldForeign) return;
    this.#toldForeign = true;
    this.#logger.warning(
      '{Endpoint} may be no collector, and spans may be lost: it takes them with an answer that is not of OTLP: {Answer}',
      this.#target,
      shown(answer),
    );
  }

  /** Says nothing from now on: somebody else has said what is lost. */
  silence(): void {
    this.#silent = true;
  }

  async #send(spans: ReadableSpan[]): Promise<void> {
    await this.#policy(() => exported(this.#exporter, spans));
  }

  #failed(spans: number, error: unknown): void {
    this.#lost += spans;
    if (this.#failing || this.#silent) return;
    this.#failing = true;
    const reason = shown((error instanceof Error && error.message) || 'no reason was given');
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
