import type { LogLevel } from '../logger.js';
import type { LoggedError } from './log-value.js';

export type RecordLevel = Exclude<LogLevel, 'none'>;

/** One call of a logger, ready to be written: every value is plain, bounded and without secrets. */
export interface LogRecord {
  readonly level: RecordLevel;
  readonly message: string;
  readonly template: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly error: LoggedError | undefined;
}

/** Writes records in one format. */
export interface RecordSink {
  write(record: LogRecord): void;
  /** A sink whose records carry these properties too. */
  child(properties: Readonly<Record<string, unknown>>): RecordSink;
}
