import type { RecordLevel } from '../logger.js';
import type { LogContext } from './log-context.js';
import { type LoggedError, toError } from './logged-error.js';
import type { MessageTemplate } from './templates/message-template.js';

/** Which span a record belongs to. */
export interface SpanIds {
  readonly traceId: string;
  readonly spanId: string;
}

/** What a record is made of. */
export interface RecordParts {
  readonly level: RecordLevel;
  readonly message: string;
  readonly template: MessageTemplate;
  /** One for each hole; undefined: it has none. */
  readonly values: readonly unknown[];
  readonly extra: readonly unknown[] | undefined;
  readonly context: LogContext;
  readonly span: SpanIds | undefined;
  readonly error: LoggedError | undefined;
  /** The error itself: with its secrets. */
  readonly thrown: unknown;
  readonly now: () => number;
}

/** As an assignment would make it, if the name were not that of the prototype. */
const DATA = { configurable: true, enumerable: true, writable: true };

/** One call of a logger, ready to be written: every value is plain, bounded and without secrets. */
export class LogRecord {
  readonly #parts: RecordParts;
  #time: number | undefined;
  #properties: Readonly<Record<string, unknown>> | undefined;

  constructor(parts: RecordParts) {
    this.#parts = parts;
  }

  get level(): RecordLevel {
    return this.#parts.level;
  }

  /** The template with its values in place. */
  get message(): string {
    return this.#parts.message;
  }

  get template(): string {
    return this.#parts.template.text;
  }

  /** The error of the call, with its causes; undefined when it has none. */
  get error(): LoggedError | undefined {
    return this.#parts.error;
  }

  /** The span that was active; undefined when there was none, or when the properties have a `trace_id` of their own. */
  get span(): SpanIds | undefined {
    return this.#parts.span;
  }

  /** Milliseconds since 1970, taken when it is first asked for. */
  get time(): number {
    this.#time ??= this.#parts.now();
    return this.#time;
  }

  /**
   * The properties of `with` and `forContext`, those of the template, and as `extra` a list of the arguments that the
   * template has no holes for. Made when they are first asked for.
   */
  get properties(): Readonly<Record<string, unknown>> {
    this.#properties ??= this.#merged();
    return this.#properties;
  }

  /** The error as an `Error` of its own class, for loggers that expect one. Without secrets, too. */
  toError(): Error | undefined {
    const { error, thrown } = this.#parts;
    return error && toError(error, thrown);
  }

  #merged(): Record<string, unknown> {
    const { context, template, values, extra } = this.#parts;
    const merged = { ...context.properties };
    for (const [i, { name }] of template.holes.entries()) {
      if (values[i] === undefined) continue;
      if (name === '__proto__') Object.defineProperty(merged, name, { ...DATA, value: values[i] });
      else merged[name] = values[i];
    }
    if (extra !== undefined) merged['extra'] = extra;
    return merged;
  }

  /** What a record is made of, for writers that have no time to lose. */
  static partsOf(record: LogRecord): RecordParts {
    return record.#parts;
  }
}
