import type { LineWriter } from './destination.js';
import type { LoggedError } from './log-value.js';
import type { LogRecord, RecordLevel, RecordSink } from './record-sink.js';

const TAGS: Record<RecordLevel, { readonly tag: string; readonly color: number }> = {
  verbose: { tag: 'VRB', color: 90 },
  debug: { tag: 'DBG', color: 36 },
  information: { tag: 'INF', color: 32 },
  warning: { tag: 'WRN', color: 33 },
  error: { tag: 'ERR', color: 31 },
  fatal: { tag: 'FTL', color: 35 },
};

/**
 * One readable line a record: local time, level, message, the properties of `with` and `forContext`, and the error.
 * Errors of level `error` and above are followed by their stacks, indented.
 */
export class ConsoleSink implements RecordSink {
  readonly #output: LineWriter;
  readonly #now: () => number;
  readonly #colors: boolean;
  readonly #context: Readonly<Record<string, unknown>>;

  constructor(output: LineWriter, now: () => number, colors: boolean, context: Readonly<Record<string, unknown>> = {}) {
    this.#output = output;
    this.#now = now;
    this.#colors = colors;
    this.#context = context;
  }

  write({ level, message, error }: LogRecord): void {
    const { tag, color } = TAGS[level];
    const head = `${this.#paint(90, timeOfDay(new Date(this.#now())))} ${this.#paint(color, tag)}`;
    let line = `${head} ${printable(message)}`;
    for (const [name, value] of Object.entries(this.#context)) {
      line += ` ${this.#paint(90, `${name}=`)}${printable(typeof value === 'string' ? value : JSON.stringify(value))}`;
    }
    for (let each = error; each !== undefined; each = nextCause(each)) {
      line += ` — ${printable(`${each.type}: ${each.message}${each.code === undefined ? '' : ` (${each.code})`}`)}`;
    }
    if (level === 'error' || level === 'fatal') line += stackLines(error?.stack);
    this.#output.write(`${line}\n`);
  }

  child(properties: Readonly<Record<string, unknown>>): ConsoleSink {
    return new ConsoleSink(this.#output, this.#now, this.#colors, { ...this.#context, ...properties });
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

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** Values come from outside: none may forge a line or steer the terminal. */
function printable(text: string): string {
  return text.replace(CONTROL, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\t') return ' ';
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
