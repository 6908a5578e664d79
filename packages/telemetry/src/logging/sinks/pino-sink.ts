import type { RecordLevel } from '../../logger.js';
import type { LogRecord } from '../log-record.js';
import { recordFields } from './record-fields.js';
import type { RecordSink } from './record-sink.js';

/** What {@link pinoSink} needs of a pino logger, so that any version of pino and none is needed to use this package. */
export interface PinoLike {
  readonly levels: { readonly values: Readonly<Record<string, number>> };
  isLevelEnabled(level: string): boolean;
}

/** pino's own, which our levels are matched with. */
const LEVELS: Record<RecordLevel, readonly [label: string, number: number]> = {
  verbose: ['trace', 10],
  debug: ['debug', 20],
  information: ['info', 30],
  warning: ['warn', 40],
  error: ['error', 50],
  fatal: ['fatal', 60],
};

/** Fields by which pino takes an object for a request of `node:http`. */
const REQUEST_FIELD = 'socket';

/**
 * Sends records to the application's own pino: its level decides, its bindings, mixins and transports apply. The
 * properties, the `template` and the ids of the span become fields, the error is an `Error` under `err`.
 *
 * @param errorKey where this pino expects errors, if that was configured. Default `err`
 */
export function pinoSink(pino: PinoLike, { errorKey = 'err' }: { readonly errorKey?: string } = {}): RecordSink {
  const labels = Object.fromEntries(
    Object.entries(LEVELS).map(([level, [label, number]]) => [level, labelOf(pino.levels.values, label, number)]),
  ) as Record<RecordLevel, string>;
  const methods = pino as unknown as Record<string, (fields: object, message: string) => void>;
  return {
    isEnabled: (level) => pino.isLevelEnabled(labels[level]),
    write(record: LogRecord) {
      const fields = recordFields(record);
      if (REQUEST_FIELD in fields) {
        fields[`${REQUEST_FIELD}_`] = fields[REQUEST_FIELD];
        delete fields[REQUEST_FIELD];
      }
      const error = record.toError();
      if (error !== undefined) fields[errorKey] = error;
      methods[labels[record.level]]?.(fields, record.message);
    },
  };
}

/**
 * An application may have levels of its own: the one that is called as pino's is the one that is meant, whatever its
 * number; else the one that is no less severe, or the most severe.
 */
function labelOf(levels: Readonly<Record<string, number>>, label: string, number: number): string {
  if (Object.hasOwn(levels, label)) return label;
  const bySeverity = Object.entries(levels).sort(([, a], [, b]) => a - b);
  return (bySeverity.find(([, value]) => value >= number) ?? bySeverity.at(-1))?.[0] ?? 'info';
}
