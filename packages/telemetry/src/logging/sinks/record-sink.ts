import type { RecordLevel } from '../../logger.js';
import type { LogRecord } from '../log-record.js';

/** Where records go: one method makes a sink. What it throws, or rejects with later, fails nobody; the record is lost. */
export interface RecordSink {
  /**
   * Whether records of this level are wanted: asked at each call, before anything is made of it, so it has to be fast.
   * Default: all are that the logger's own level lets through.
   */
  isEnabled?(level: RecordLevel): boolean;
  write(record: LogRecord): void;
  /** Writes what is held back before it returns; called after a `fatal` record. */
  flush?(): void;
}
