import { type Logger as PinoLogger, pino } from 'pino';
import type { LineWriter } from './destination.js';
import type { LogRecord, RecordLevel, RecordSink } from './record-sink.js';

/** Fields that are not properties; a property of such a name gets an underscore behind it. */
const FIELDS = new Set(['level', 'time', 'name', 'msg', 'template', 'err']);

const PINO_LEVELS: Record<RecordLevel, number> = {
  verbose: 10,
  debug: 20,
  information: 30,
  warning: 40,
  error: 50,
  fatal: 60,
};

/** One JSON line a record: `level`, `time`, `template`, the properties, `err`, and `msg`, the rendered message. */
export class JsonSink implements RecordSink {
  readonly #pino: PinoLogger<RecordLevel>;

  constructor(pinoLogger: PinoLogger<RecordLevel>) {
    this.#pino = pinoLogger;
  }

  static open(output: LineWriter, now: () => number, name?: string): JsonSink {
    return new JsonSink(
      pino<RecordLevel>(
        {
          level: 'verbose', // the level is checked long before
          customLevels: PINO_LEVELS,
          useOnlyCustomLevels: true,
          base: name === undefined ? null : { name },
          timestamp: timestamps(now),
          formatters: { level: (label) => ({ level: label }) },
          serializers: { err: (error: unknown) => error },
        },
        output,
      ),
    );
  }

  write({ level, message, template, properties, error }: LogRecord): void {
    const fields: Record<string, unknown> = { template };
    for (const name in properties) fields[fieldName(name)] = properties[name];
    if (error !== undefined) fields['err'] = error;
    this.#pino[level](fields, message);
  }

  child(properties: Readonly<Record<string, unknown>>): JsonSink {
    const named = Object.entries(properties).map(([name, value]) => [fieldName(name), value]);
    return new JsonSink(this.#pino.child(Object.fromEntries(named)));
  }
}

/** The time as pino takes it. Records come in bursts, and to write a date costs as much as to write the rest. */
function timestamps(now: () => number): () => string {
  let lastMs = Number.NaN;
  let text = '';
  return () => {
    const ms = now();
    if (ms !== lastMs) {
      lastMs = ms;
      text = `,"time":"${new Date(ms).toISOString()}"`;
    }
    return text;
  };
}

function fieldName(name: string): string {
  return FIELDS.has(name) ? `${name}_` : name;
}
