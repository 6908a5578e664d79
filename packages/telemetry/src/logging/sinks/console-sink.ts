import type { RecordLevel } from '../../logger.js';
import { recordFields } from './record-fields.js';
import type { RecordSink } from './record-sink.js';

type ConsoleMethod = 'debug' | 'info' | 'warn' | 'error';

/** What {@link consoleSink} needs of a console. */
export type ConsoleLike = Readonly<Record<ConsoleMethod, (...values: unknown[]) => void>>;

const METHODS: Record<RecordLevel, ConsoleMethod> = {
  verbose: 'debug',
  debug: 'debug',
  information: 'info',
  warning: 'warn',
  error: 'error',
  fatal: 'error',
};

/**
 * Sends records to a console, as the message, an object with the template and the properties, and the error. A console
 * has no level: that of the logger decides.
 */
export function consoleSink(console: ConsoleLike): RecordSink {
  return {
    write(record) {
      const error = record.toError();
      const values: unknown[] = [record.message, recordFields(record)];
      // The message is no format: what looks like one in it came with a value.
      console[METHODS[record.level]]('%s', ...values, ...(error === undefined ? [] : [error]));
    },
  };
}
