import { type LeveledLogger, LOG_LEVELS, type Logger, type LogLevel, type RecordLevel } from '../logger.js';
import { LogContext, NO_CONTEXT } from './log-context.js';
import { LogRecord, type SpanIds } from './log-record.js';
import { isError, ValueCopier } from './log-value.js';
import { holeRanges, type MessageTemplate, renderTemplate } from './message-template.js';
import { findSecrets, hide, isSuspicious, REDACTED } from './redaction.js';
import { SecretNames } from './secret-names.js';
import type { RecordSink } from './sinks/record-sink.js';
import { TemplateCache } from './template-cache.js';
import { overlap } from './template-secrets.js';

/** What every logger can be told, wherever its records go. */
export interface RecordOptions {
  /** More names of properties whose values are never written; case and separators don't matter. */
  readonly redact?: readonly string[];
  /**
   * The span that the running code is part of, whose ids records carry as `trace_id` and `span_id`; asked only for
   * records that are written. A {@link import('../tracing/tracer.js').Tracer} has it.
   */
  readonly activeSpan?: () => SpanIds | undefined;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** What a logger shares with all that were derived from it. */
export class LoggerCore {
  readonly sink: RecordSink;
  readonly templates = new TemplateCache();
  readonly secrets: SecretNames;
  readonly activeSpan: (() => SpanIds | undefined) | undefined;
  readonly now: () => number;
  /** Index in {@link LOG_LEVELS} of the first level that is written. */
  threshold: number;
  #copier: ValueCopier | undefined;

  constructor(sink: RecordSink, level: LogLevel, { redact, activeSpan, now = Date.now }: RecordOptions) {
    this.sink = sink;
    this.secrets = new SecretNames(redact);
    this.activeSpan = activeSpan;
    this.now = now;
    this.threshold = threshold(level);
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

function threshold(level: LogLevel): number {
  const index = LOG_LEVELS.indexOf(level);
  if (index < 0) throw new RangeError(`'${level}' is not a log level; those are ${LOG_LEVELS.join(', ')}`);
  return index;
}

const [VERBOSE, DEBUG, INFORMATION, WARNING, ERROR, FATAL] = [0, 1, 2, 3, 4, 5] as const;

/** Checks the level, makes a record of the call and hands it to the sink. */
export class TemplateLogger implements LeveledLogger {
  readonly core: LoggerCore;
  readonly #context: LogContext;

  constructor(core: LoggerCore, context: LogContext = NO_CONTEXT) {
    this.core = core;
    this.#context = context;
  }

  get level(): LogLevel {
    return LOG_LEVELS[this.core.threshold] ?? 'none';
  }

  setLevel(level: LogLevel): void {
    this.core.threshold = threshold(level);
  }

  verbose(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold <= VERBOSE) this.#log('verbose', template, values);
  }

  debug(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold <= DEBUG) this.#log('debug', template, values);
  }

  information(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold <= INFORMATION) this.#log('information', template, values);
  }

  warning(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold <= WARNING) this.#log('warning', template, values);
  }

  error(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold <= ERROR) this.#log('error', template, values);
  }

  fatal(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold > FATAL) return;
    this.#log('fatal', template, values);
    try {
      // Whoever logs at this level is about to end the process.
      this.core.sink.flush?.();
    } catch {
      // As in #log.
    }
  }

  isEnabled(level: LogLevel): boolean {
    if (level === 'none' || LOG_LEVELS.indexOf(level) < this.core.threshold) return false;
    try {
      return this.core.sink.isEnabled?.(level) ?? true;
    } catch {
      return false;
    }
  }

  with(properties: Readonly<Record<string, unknown>>): Logger {
    const copier = this.core.takeCopier();
    const context = new LogContext({ ...this.#context.properties, ...copier.properties(properties) });
    this.core.giveBack(copier);
    return new TemplateLogger(this.core, context);
  }

  forContext(name: string, value: unknown): Logger {
    return this.with({ [name]: value });
  }

  #log(level: RecordLevel, text: unknown, args: readonly unknown[]): void {
    const { core } = this;
    try {
      if (core.sink.isEnabled?.(level) === false) return;
      const copier = core.takeCopier();
      // Who passes an error alone, or anything else, means it as the value.
      const record =
        typeof text === 'string'
          ? this.#record(level, core.templates.get(text), args, copier)
          : this.#record(level, core.templates.get('{Value}'), isError(text) ? [text, text, ...args] : [text], copier);
      core.giveBack(copier);
      core.sink.write(record);
    } catch {
      // Logging never fails what it reports on.
    }
  }

  #record(level: RecordLevel, template: MessageTemplate, args: readonly unknown[], copier: ValueCopier): LogRecord {
    const { holes, arity } = template;
    const values: unknown[] = [];
    for (let i = 0; i < holes.length; i++) {
      const { name, index, operator, secret } = holes[i] as (typeof holes)[number];
      if (index >= args.length) values.push(undefined);
      else if (secret) values.push(REDACTED);
      else values.push(copier.property(name, args[index], operator));
    }
    let extra: unknown[] | undefined;
    let thrown: unknown;
    for (let i = arity; i < args.length && i < arity + MAX_EXTRA; i++) {
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
      span: template.tracesItself || this.#context.tracesItself ? undefined : activeSpan(this.core),
      error: thrown === undefined ? undefined : copier.error(thrown),
      thrown,
      now: this.core.now,
    });
  }
}

const MAX_EXTRA = 100;

/** Hides what is a secret only as a whole (`{Name}={Value}`), in the message and in the values that it is made of. */
function hideJoined(message: string, template: MessageTemplate, values: unknown[], args: readonly unknown[]): string {
  const found = findSecrets(message);
  if (found.length === 0) return message;
  for (const [i, hole] of holeRanges(template, values, args).entries()) {
    if (values[i] !== undefined && found.some((range) => overlap(range, hole))) values[i] = REDACTED;
  }
  return hide(message, found);
}

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
