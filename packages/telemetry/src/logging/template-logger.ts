import { ignoreLater } from '../ignore-later.js';
import { type LeveledLogger, LOG_LEVELS, type Logger, type LogLevel, type RecordLevel } from '../logger.js';
import { LogContext, NO_CONTEXT } from './log-context.js';
import { LogRecord, type SpanIds } from './log-record.js';
import { isError, ValueCopier } from './log-value.js';
import type { LogOutput } from './output/destination.js';
import { hideJoined } from './secrets/joined-secrets.js';
import { isSuspicious, REDACTED } from './secrets/redaction.js';
import { SecretNames } from './secrets/secret-names.js';
import type { RecordSink } from './sinks/record-sink.js';
import { type MessageTemplate, renderTemplate } from './templates/message-template.js';
import { TemplateCache } from './templates/template-cache.js';

/** What every logger can be told, wherever its records go. */
export interface RecordOptions {
  /** More names of properties whose values are never written; case and separators don't matter. */
  readonly redact?: readonly string[] | undefined;
  /**
   * The span that the running code is part of, whose ids records carry as `trace_id` and `span_id`; asked only for
   * records that are written. A {@link import('../tracing/tracer.js').Tracer} has it.
   */
  readonly activeSpan?: (() => SpanIds | undefined) | undefined;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** The logger that owns what its records are written to. Loggers that were derived from it follow its level. */
export interface RootLogger extends LeveledLogger, AsyncDisposable {
  /** Lines that were dropped because the destination was too slow for them. */
  readonly dropped: number;
  /** Writes what is buffered before it returns. */
  flush(): void;
  /** Writes what is buffered and closes a file; what is logged later is dropped. */
  close(): Promise<void>;
}

/** What a logger shares with all that were derived from it. */
export class LoggerCore {
  readonly sink: RecordSink;
  /** Undefined where the sink belongs to somebody else. */
  readonly output: LogOutput | undefined;
  readonly templates = new TemplateCache();
  readonly secrets: SecretNames;
  readonly activeSpan: (() => SpanIds | undefined) | undefined;
  readonly now: () => number;
  /** Index in {@link LOG_LEVELS} of the first level that is written. */
  threshold = 0;
  #copier: ValueCopier | undefined;

  /** @throws RangeError when there is no such level */
  constructor(sink: RecordSink, level: LogLevel, options: RecordOptions, output?: LogOutput) {
    this.sink = sink;
    this.output = output;
    this.secrets = new SecretNames(options.redact);
    this.activeSpan = options.activeSpan;
    this.now = options.now ?? Date.now;
    this.level = level;
  }

  get level(): LogLevel {
    return LOG_LEVELS[this.threshold] ?? 'none';
  }

  set level(level: LogLevel) {
    const threshold = LOG_LEVELS.indexOf(level);
    if (threshold < 0) throw new RangeError(`'${level}' is not a log level; those are ${LOG_LEVELS.join(', ')}`);
    this.threshold = threshold;
  }

  /** One that nobody uses: a getter that is read while a record is made may log, too. */
  takeCopier(): ValueCopier {
    const copier = this.#copier ?? new ValueCopier(this.secrets);
    this.#copier = undefined;
    copier.reset();
    return copier;
  }

  giveBack(copier: ValueCopier): void {
    this.#copier = copier;
  }
}

const [VERBOSE, DEBUG, INFORMATION, WARNING, ERROR, FATAL] = [0, 1, 2, 3, 4, 5] as const;

/**
 * Makes a record of each call and hands it to the sink. The arguments of a call are only ever spread: so they are passed
 * on as they are, and no list is made of them where the level is off (`bench/src/telemetry/logging.mjs`).
 */
export class TemplateLogger implements RootLogger {
  readonly #core: LoggerCore;
  readonly #context: LogContext;

  constructor(core: LoggerCore, context: LogContext = NO_CONTEXT) {
    this.#core = core;
    this.#context = context;
  }

  verbose(template: string, ...values: readonly unknown[]): void {
    if (this.#core.threshold <= VERBOSE) this.#log('verbose', template, ...values);
  }

  debug(template: string, ...values: readonly unknown[]): void {
    if (this.#core.threshold <= DEBUG) this.#log('debug', template, ...values);
  }

  information(template: string, ...values: readonly unknown[]): void {
    if (this.#core.threshold <= INFORMATION) this.#log('information', template, ...values);
  }

  warning(template: string, ...values: readonly unknown[]): void {
    if (this.#core.threshold <= WARNING) this.#log('warning', template, ...values);
  }

  error(template: string, ...values: readonly unknown[]): void {
    if (this.#core.threshold <= ERROR) this.#log('error', template, ...values);
  }

  fatal(template: string, ...values: readonly unknown[]): void {
    if (this.#core.threshold > FATAL) return;
    this.#log('fatal', template, ...values);
    // Whoever logs at this level is about to end the process.
    this.flush();
  }

  get level(): LogLevel {
    return this.#core.level;
  }

  setLevel(level: LogLevel): void {
    this.#core.level = level;
  }

  get dropped(): number {
    return this.#core.output?.dropped ?? 0;
  }

  flush(): void {
    try {
      ignoreLater(this.#core.sink.flush?.());
    } catch {
      // As in #log.
    }
  }

  async close(): Promise<void> {
    await this.#core.output?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  isEnabled(level: LogLevel): boolean {
    if (level === 'none' || LOG_LEVELS.indexOf(level) < this.#core.threshold) return false;
    try {
      return this.#core.sink.isEnabled?.(level) ?? true;
    } catch {
      return false;
    }
  }

  with(properties: Readonly<Record<string, unknown>>): Logger {
    const copier = this.#core.takeCopier();
    const context = new LogContext({ ...this.#context.properties, ...copier.properties(properties) });
    this.#core.giveBack(copier);
    return new TemplateLogger(this.#core, context);
  }

  forContext(name: string, value: unknown): Logger {
    try {
      return this.with({ [name]: value });
    } catch {
      // What cannot be made a name names nothing.
      return this;
    }
  }

  #log(level: RecordLevel, text: unknown, ...args: readonly unknown[]): void {
    const core = this.#core;
    try {
      if (core.sink.isEnabled?.(level) === false) return;
      const copier = core.takeCopier();
      // Who passes an error alone, or anything else, means it as the value.
      const record =
        typeof text === 'string'
          ? this.#record(level, core.templates.get(text), args, copier)
          : this.#record(
              level,
              core.templates.get('{Value}'),
              [text, ...(isError(text) ? [text] : []), ...args],
              copier,
            );
      core.giveBack(copier);
      ignoreLater(core.sink.write(record));
    } catch {
      // Logging never fails what it reports on.
    }
  }

  #record(level: RecordLevel, template: MessageTemplate, args: readonly unknown[], copier: ValueCopier): LogRecord {
    const { holes, arity, firstLeft } = template;
    const values: unknown[] = [];
    for (let i = 0; i < holes.length; i++) {
      const { name, index, operator, secret } = holes[i] as (typeof holes)[number];
      if (index >= args.length) values.push(undefined);
      else if (secret) values.push(REDACTED);
      else values.push(copier.property(name, args[index], operator));
    }
    let extra: unknown[] | undefined;
    let thrown: unknown;
    for (let i = firstLeft; i < args.length && i < arity + MAX_EXTRA; i++) {
      if (i < arity && holes.some(({ index }) => index === i)) continue;
      const value = args[i];
      if (thrown === undefined && isError(value)) {
        thrown = value;
      } else {
        extra ??= [];
        extra.push(copier.value(value));
      }
    }
    let message = renderTemplate(template, values, args);
    if ((template.suspicious || copier.suspicious) && isSuspicious(message)) {
      message = hideJoined(message, template, values, args);
    }
    return new LogRecord({
      level,
      message,
      template,
      values,
      extra,
      context: this.#context,
      span: template.tracesItself || this.#context.tracesItself ? undefined : activeSpan(this.#core),
      error: thrown === undefined ? undefined : copier.error(thrown),
      thrown,
      now: this.#core.now,
    });
  }
}

const MAX_EXTRA = 100;

const NO_TRACE = '0'.repeat(32);

function activeSpan({ activeSpan: ask }: LoggerCore): SpanIds | undefined {
  if (ask === undefined) return undefined;
  try {
    const span = ask();
    return span === undefined || span.traceId === NO_TRACE ? undefined : span;
  } catch {
    return undefined;
  }
}
