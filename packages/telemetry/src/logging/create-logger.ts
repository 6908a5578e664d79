import { isatty } from 'node:tty';
import { LOG_LEVELS, type Logger, type LogLevel } from '../logger.js';
import { ConsoleSink } from './console-sink.js';
import { type LogDestination, type LogOutput, openDestination } from './destination.js';
import { JsonSink } from './json-sink.js';
import { loggedError, logValue } from './log-value.js';
import { renderTemplate, TemplateCache } from './message-template.js';
import type { RecordLevel, RecordSink } from './record-sink.js';
import { REDACTED, SecretNames } from './redaction.js';

export interface LoggerOptions {
  /** The least important level that is written. Default `information`. */
  readonly level?: LogLevel;
  /** Default: `stderr`. */
  readonly destination?: LogDestination;
  /** `json`: one JSON line a record. `pretty`: a line to read. Default: `pretty` on a terminal, else `json`. */
  readonly format?: 'json' | 'pretty';
  /** Colours in the pretty format. Default: on a terminal, unless NO_COLOR is set. */
  readonly colors?: boolean;
  /**
   * Collect lines and write them in the background, a quarter of a second late at most: for servers. Default false:
   * a line is written before the call returns.
   */
  readonly buffered?: boolean;
  /** A `name` in each JSON record. */
  readonly name?: string;
  /** More names of properties whose values are never written; case and separators don't matter. */
  readonly redact?: readonly string[];
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** The logger that owns the destination. Loggers that were derived from it follow its level. */
export interface RootLogger extends Logger, AsyncDisposable {
  readonly level: LogLevel;
  /** Changes the level of this logger and of all that were derived from it. */
  setLevel(level: LogLevel): void;
  /** Lines that were dropped because the destination was too slow for them. */
  readonly dropped: number;
  /** Writes what is buffered before it returns. */
  flush(): void;
  /** Writes what is buffered and closes a file; what is logged later is dropped. */
  close(): Promise<void>;
}

/**
 * Makes a {@link Logger} that writes.
 *
 * @throws when the destination is a file that can't be opened
 */
export function createLogger(options: LoggerOptions = {}): RootLogger {
  const destination = options.destination ?? 'stderr';
  const terminal = isTerminal(destination);
  const now = options.now ?? Date.now;
  const output = openDestination(destination, options.buffered ?? false);
  const sink =
    (options.format ?? (terminal ? 'pretty' : 'json')) === 'pretty'
      ? new ConsoleSink(output, now, options.colors ?? (terminal && !process.env['NO_COLOR']))
      : JsonSink.open(output, now, options.name);
  const core: Core = {
    threshold: threshold(options.level ?? 'information'),
    templates: new TemplateCache(),
    secrets: new SecretNames(options.redact),
    output,
  };
  return new OwningLogger(core, sink);
}

function isTerminal(destination: LogDestination): boolean {
  return typeof destination === 'string' && isatty(destination === 'stdout' ? 1 : 2);
}

/** What a logger shares with all that were derived from it. */
interface Core {
  /** Index in {@link LOG_LEVELS} of the first level that is written. */
  threshold: number;
  readonly templates: TemplateCache;
  readonly secrets: SecretNames;
  readonly output: LogOutput;
}

function threshold(level: LogLevel): number {
  const index = LOG_LEVELS.indexOf(level);
  if (index < 0) throw new RangeError(`'${level}' is not a log level; those are ${LOG_LEVELS.join(', ')}`);
  return index;
}

const [VERBOSE, DEBUG, INFORMATION, WARNING, ERROR, FATAL] = [0, 1, 2, 3, 4, 5] as const;

class TemplateLogger implements Logger {
  readonly core: Core;
  readonly #sink: RecordSink;

  constructor(core: Core, sink: RecordSink) {
    this.core = core;
    this.#sink = sink;
  }

  verbose(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold <= VERBOSE) this.#write('verbose', template, values);
  }

  debug(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold <= DEBUG) this.#write('debug', template, values);
  }

  information(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold <= INFORMATION) this.#write('information', template, values);
  }

  warning(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold <= WARNING) this.#write('warning', template, values);
  }

  error(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold <= ERROR) this.#write('error', template, values);
  }

  fatal(template: string, ...values: readonly unknown[]): void {
    if (this.core.threshold > FATAL) return;
    this.#write('fatal', template, values);
    // Whoever logs at this level is about to end the process.
    this.core.output.flush();
  }

  isEnabled(level: LogLevel): boolean {
    return level !== 'none' && LOG_LEVELS.indexOf(level) >= this.core.threshold;
  }

  with(properties: Readonly<Record<string, unknown>>): Logger {
    const { secrets } = this.core;
    const clean = Object.entries(properties).map(([name, value]) => [name, property(name, value, secrets)]);
    return new TemplateLogger(this.core, this.#sink.child(Object.fromEntries(clean)));
  }

  forContext(name: string, value: unknown): Logger {
    return this.with({ [name]: value });
  }

  #write(level: RecordLevel, text: string, values: readonly unknown[]): void {
    try {
      const { secrets } = this.core;
      const template = this.core.templates.get(text);
      const shown: unknown[] = [];
      const properties: Record<string, unknown> = {};
      for (const [i, { name, structured }] of template.holes.entries()) {
        if (i >= values.length) break;
        const value = property(name, values[i], secrets, structured);
        shown.push(value);
        properties[name] = value;
      }
      let error: Error | undefined;
      const extra: unknown[] = [];
      for (const value of values.slice(template.holes.length)) {
        if (error === undefined && value instanceof Error) error = value;
        else extra.push(logValue(value, secrets));
      }
      if (extra.length > 0) properties['extra'] = extra;
      this.#sink.write({
        level,
        message: renderTemplate(template, shown),
        template: text,
        properties,
        error: error === undefined ? undefined : loggedError(error),
      });
    } catch {
      // Logging never fails what it reports on.
    }
  }
}

class OwningLogger extends TemplateLogger implements RootLogger {
  get level(): LogLevel {
    return LOG_LEVELS[this.core.threshold] ?? 'none';
  }

  setLevel(level: LogLevel): void {
    this.core.threshold = threshold(level);
  }

  get dropped(): number {
    return this.core.output.dropped;
  }

  flush(): void {
    this.core.output.flush();
  }

  close(): Promise<void> {
    return this.core.output.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function property(name: string, value: unknown, secrets: SecretNames, structured = false): unknown {
  return secrets.has(name) ? REDACTED : logValue(value, secrets, structured);
}
