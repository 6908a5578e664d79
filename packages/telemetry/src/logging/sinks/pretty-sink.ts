import type { RecordLevel } from '../../logger.js';
import { LogRecord } from '../log-record.js';
import type { LoggedError } from '../logged-error.js';
import type { LineWriter } from '../output/destination.js';
import { show } from '../templates/message-template.js';
import type { RecordSink } from './record-sink.js';

const TAGS: Record<RecordLevel, { readonly tag: string; readonly color: number }> = {
  verbose: { tag: 'VRB', color: 90 },
  debug: { tag: 'DBG', color: 36 },
  information: { tag: 'INF', color: 32 },
  warning: { tag: 'WRN', color: 33 },
  error: { tag: 'ERR', color: 31 },
  fatal: { tag: 'FTL', color: 35 },
};

/**
 * One readable line a record: local time, level, message, the properties of `with` and `forContext`, the error, and the
 * trace. Errors of level `error` and above are followed by their stacks, indented.
 */
export class PrettySink implements RecordSink {
  readonly #output: LineWriter;
  readonly #colors: boolean;

  constructor(output: LineWriter, colors: boolean) {
    this.#output = output;
    this.#colors = colors;
  }

  write(record: LogRecord): void {
    const { level, message, extra, span, error, context } = LogRecord.partsOf(record);
    const { tag, color } = TAGS[level];
    let line = `${this.#paint(90, timeOfDay(new Date(record.time)))} ${this.#paint(color, tag)} ${printable(message)}`;
    for (const [name, value] of Object.entries(context.properties)) line += this.#property(name, show(value));
    if (extra !== undefined) line += this.#property('extra', show(extra));
    for (let each = error; each !== undefined; each = nextCause(each)) {
      line += ` — ${printable(`${each.type}: ${each.message}${each.code === undefined ? '' : ` (${each.code})`}`)}`;
    }
    if (span !== undefined) line += this.#property('trace_id', span.traceId) + this.#property('span_id', span.spanId);
    if (level === 'error' || level === 'fatal') line += stackLines(error?.stack);
    this.#output.write(`${line}\n`);
  }

  #property(name: string, value: string): string {
    return ` ${this.#paint(90, `${printable(name)}=`)}${printable(value)}`;
  }

  #paint(color: number, text: string): string {
    return this.#colors ? `\u001b[${color}m${text}\u001b[0m` : text;
  }
}

function timeOfDay(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const milliseconds = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${milliseconds}`;
}

function nextCause(error: LoggedError): LoggedError | undefined {
  return typeof error.cause === 'string' ? { type: 'cause', message: error.cause } : error.cause;
}

function stackLines(stack: string | undefined): string {
  const frames = stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  return frames.map((frame) => `\n    ${printable(frame.trim())}`).join('');
}

/** Those that turn the direction of a text are among them: they show what stands behind them in another order. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/** Values come from outside: none may forge a line or steer the terminal. */
function printable(text: string): string {
  return text.replace(CONTROL, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\t') return ' ';
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
