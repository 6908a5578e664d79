import type { RecordLevel } from '../../logger.js';
import type { RecordSink } from './record-sink.js';

type LogTapeLevel = 'trace' | 'debug' | 'info' | 'warning' | 'error' | 'fatal';

/** What {@link logtapeSink} needs of a LogTape logger, as version 2 has it. */
export interface LogTapeLike {
  isEnabledFor(level: LogTapeLevel): boolean;
  emit(record: {
    readonly level: LogTapeLevel;
    readonly message: readonly unknown[];
    readonly rawMessage: string;
    readonly timestamp: number;
    readonly properties: Record<string, unknown>;
  }): void;
}

const LEVELS: Record<RecordLevel, LogTapeLevel> = {
  verbose: 'trace',
  debug: 'debug',
  information: 'info',
  warning: 'warning',
  error: 'error',
  fatal: 'fatal',
};

/**
 * Sends records to the application's own LogTape, under the category of the logger: its configuration decides. The
 * template is the raw message, the properties and the ids of the span are properties, the error is an `Error` under
 * `error`.
 */
export function logtapeSink(logger: LogTapeLike): RecordSink {
  return {
    isEnabled: (level) => logger.isEnabledFor(LEVELS[level]),
    write(record) {
      const { level, message, template, span, time, properties } = record;
      const error = record.toError();
      logger.emit({
        level: LEVELS[level],
        // The whole message is the text before the first value: how values are formatted is said by the template.
        message: [message],
        rawMessage: template,
        timestamp: time,
        properties: {
          ...properties,
          ...(span && { trace_id: span.traceId, span_id: span.spanId }),
          ...(error && { error }),
        },
      });
    },
  };
}
