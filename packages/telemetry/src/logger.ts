/** From the most to the least talkative; `none` switches a logger off. */
export const LOG_LEVELS = ['verbose', 'debug', 'information', 'warning', 'error', 'fatal', 'none'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** What other loggers call some of the levels, for configuration. */
export const LOG_LEVEL_ALIASES = { trace: 'verbose', info: 'information', warn: 'warning' } as const satisfies Readonly<
  Record<string, LogLevel>
>;

/** A level that records have. */
export type RecordLevel = Exclude<LogLevel, 'none'>;

/**
 * The level that a text names, in any case and by its aliases (`trace`, `info`, `warn`); undefined when it names none.
 */
export function parseLogLevel(text: string): LogLevel | undefined {
  const name = text.trim().toLowerCase();
  if ((LOG_LEVELS as readonly string[]).includes(name)) return name as LogLevel;
  return Object.hasOwn(LOG_LEVEL_ALIASES, name) ? LOG_LEVEL_ALIASES[name as keyof typeof LOG_LEVEL_ALIASES] : undefined;
}

/**
 * Structured logging with message templates: `logger.information('Stored {Digest} in {Elapsed:F1} ms', digest, ms)`.
 * The template names the properties, the arguments give their values in the same order, and the record keeps both.
 * A call at a level that is off costs a few nanoseconds; too few or too many arguments never throw.
 *
 * An `Error` among the arguments that no hole of the template takes becomes the record's `err`.
 */
export interface Logger {
  verbose(template: string, ...values: readonly unknown[]): void;
  debug(template: string, ...values: readonly unknown[]): void;
  information(template: string, ...values: readonly unknown[]): void;
  warning(template: string, ...values: readonly unknown[]): void;
  error(template: string, ...values: readonly unknown[]): void;
  fatal(template: string, ...values: readonly unknown[]): void;
  isEnabled(level: LogLevel): boolean;
  /** A logger whose records carry these properties too. */
  with(properties: Readonly<Record<string, unknown>>): Logger;
  /** A logger whose records carry one more property. */
  forContext(name: string, value: unknown): Logger;
}

/** A logger whose level can be changed while the program runs. */
export interface LeveledLogger extends Logger {
  /** The least important level that is written. */
  readonly level: LogLevel;
  /**
   * Changes the level of this logger and of all that were derived from it, at once.
   *
   * @throws RangeError when there is no such level
   */
  setLevel(level: LogLevel): void;
}

const ignore = () => {};

/** Logs nothing, at no cost: the default of everything that takes a logger. */
export const nullLogger: Logger = {
  verbose: ignore,
  debug: ignore,
  information: ignore,
  warning: ignore,
  error: ignore,
  fatal: ignore,
  isEnabled: () => false,
  with: () => nullLogger,
  forContext: () => nullLogger,
};
