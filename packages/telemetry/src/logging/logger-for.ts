import type { LeveledLogger, LogLevel } from '../logger.js';
import type { RecordSink } from './sinks/record-sink.js';
import { LoggerCore, type RecordOptions, TemplateLogger } from './template-logger.js';

export interface SinkLoggerOptions extends RecordOptions {
  /**
   * The least important level that the sink gets. Default: `verbose` for sinks that have a level of their own, which
   * then decides alone; else `information`.
   */
  readonly level?: LogLevel | undefined;
}

/**
 * A {@link import('../logger.js').Logger} whose records go to a sink: to the application's own logger through
 * `pinoSink`, `logtapeSink` or `consoleSink`, or to anything with a `write(record)`. It owns nothing and needs no close.
 *
 * @throws RangeError when there is no such level
 */
export function loggerFor(sink: RecordSink, options: SinkLoggerOptions = {}): LeveledLogger {
  const level = options.level ?? (sink.isEnabled === undefined ? 'information' : 'verbose');
  return new TemplateLogger(new LoggerCore(sink, level, options));
}
