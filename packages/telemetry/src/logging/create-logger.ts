import { isatty } from 'node:tty';
import type { LogLevel } from '../logger.js';
import { type LogDestination, openDestination } from './output/destination.js';
import { JsonSink } from './sinks/json-sink.js';
import { PrettySink } from './sinks/pretty-sink.js';
import type { RecordSink } from './sinks/record-sink.js';
import { LoggerCore, type RecordOptions, type RootLogger, TemplateLogger } from './template-logger.js';

export type { RootLogger } from './template-logger.js';

export interface LoggerOptions extends RecordOptions {
  /** The least important level that is written. Default `information`. */
  readonly level?: LogLevel | undefined;
  /** Default: `stderr`. */
  readonly destination?: LogDestination | undefined;
  /** `json`: one JSON line a record. `pretty`: a line to read. Default: `pretty` on a terminal, else `json`. */
  readonly format?: 'json' | 'pretty' | undefined;
  /** Colours in the pretty format. Default: on a terminal, unless NO_COLOR is set. */
  readonly colors?: boolean | undefined;
  /**
   * Collect lines and write them in the background, a quarter of a second late at most: for servers. Default false:
   * a line is written before the call returns.
   */
  readonly buffered?: boolean | undefined;
  /** A `name` in each JSON record. */
  readonly name?: string | undefined;
}

/**
 * Makes a {@link import('../logger.js').Logger} that writes lines.
 *
 * @throws RangeError when there is no such level
 * @throws when the destination is a file that can't be opened
 */
export function createLogger(options: LoggerOptions = {}): RootLogger {
  const destination = options.destination ?? 'stderr';
  const terminal = typeof destination === 'string' && isatty(destination === 'stdout' ? 1 : 2);
  const output = openDestination(destination, options.buffered ?? false);
  const writer =
    (options.format ?? (terminal ? 'pretty' : 'json')) === 'pretty'
      ? new PrettySink(output, options.colors ?? (terminal && !process.env['NO_COLOR']))
      : new JsonSink(output, options.name);
  const sink: RecordSink = { write: (record) => writer.write(record), flush: () => output.flush() };
  return new TemplateLogger(new LoggerCore(sink, options.level ?? 'information', options, output));
}
