import { type Logger as PinoLogger, pino } from 'pino';
import type { RecordLevel } from '../../logger.js';
import { jsonString, jsonValue } from '../json-text.js';
import { NO_CONTEXT } from '../log-context.js';
import { LogRecord, type RecordParts } from '../log-record.js';
import type { LineWriter } from '../output/destination.js';
import type { RecordSink } from './record-sink.js';

const PINO_LEVELS: Record<RecordLevel, number> = {
  verbose: 10,
  debug: 20,
  information: 30,
  warning: 40,
  error: 50,
  fatal: 60,
};

/**
 * One JSON line a record: `level`, `time`, `template`, the properties, `trace_id` and `span_id`, `err`, and `msg`, the
 * rendered message.
 *
 * pino writes the lines, but not the fields: it would look at each of them again, for twice the price. It takes them as a
 * part of the time, which it puts into the line as it is (`bench/telemetry.mjs`).
 */
export class JsonSink implements RecordSink {
  readonly #pino: PinoLogger<RecordLevel>;
  readonly #name: string;
  readonly #time = timestamps();
  #record: LogRecord | undefined;

  constructor(output: LineWriter, name?: string) {
    this.#name = name === undefined ? '' : `,"name":${jsonString(name)}`;
    this.#pino = pino<RecordLevel>(
      {
        level: 'verbose', // the level is checked long before
        customLevels: PINO_LEVELS,
        useOnlyCustomLevels: true,
        base: null,
        timestamp: () => this.#fields(),
        formatters: { level: (label) => ({ level: label }) },
      },
      output,
    );
  }

  write(record: LogRecord): void {
    this.#record = record;
    this.#pino[record.level](undefined);
  }

  /** All that comes behind the level. */
  #fields(): string {
    const record = this.#record;
    // pino looks at one before there is a record.
    if (record === undefined) return this.#time(0);
    return this.#time(record.time) + this.#name + fieldsOf(LogRecord.partsOf(record));
  }
}

function fieldsOf({ template, values, extra, context, span, error, message }: RecordParts): string {
  const { holes } = template;
  let fields = template.json;
  if (template.distinct && (context === NO_CONTEXT || !holes.some(({ key }) => context.fields.has(key)))) {
    fields += context.json;
    for (let i = 0; i < holes.length; i++) {
      const value = values[i];
      if (value !== undefined) fields += (holes[i] as { key: string }).key + jsonValue(value);
    }
  } else {
    // A name is written once, since many readers of JSON refuse what has it twice: the value that is nearest wins.
    const merged = new Map(context.fields);
    for (const [i, { key }] of holes.entries()) if (values[i] !== undefined) merged.set(key, jsonValue(values[i]));
    for (const [key, value] of merged) fields += key + value;
  }
  if (extra !== undefined) fields += `,"extra":${JSON.stringify(extra)}`;
  if (span !== undefined) {
    fields += `,"trace_id":${jsonString(span.traceId)},"span_id":${jsonString(span.spanId)}`;
  }
  if (error !== undefined) fields += `,"err":${JSON.stringify(error)}`;
  return `${fields},"msg":${jsonString(message)}`;
}

/** The time as a field. Records come in bursts, and to write a date costs as much as to write the rest. */
function timestamps(): (ms: number) => string {
  let lastMs = Number.NaN;
  let text = '';
  return (ms) => {
    if (ms !== lastMs) {
      lastMs = ms;
      text = `,"time":"${new Date(ms).toISOString()}"`;
    }
    return text;
  };
}
