/** One thing that is wrong with the configuration. */
export interface ConfigMistake {
  /** Where it was written: `granary.yaml:3`, `GRANARY_STORAGE_MAX_SIZE`, `--storage.max_size`, or `default`. */
  readonly origin: string;
  /** The key, as far as there is one. */
  readonly key: string | undefined;
  /** What was found, and what is allowed. */
  readonly message: string;
}

/** A file that a key names can't be read. */
export function unreadable(file: string, key: string, error: unknown): ConfigMistake {
  return { origin: file, key, message: `can't be read: ${(error as Error).message}` };
}

/** The configuration can't be used. Lists every mistake, not only the first. */
export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID';
  readonly mistakes: readonly ConfigMistake[];

  constructor(mistakes: readonly ConfigMistake[]) {
    const lines = mistakes.map(({ origin, key, message }) => {
      const named = key !== undefined && !origin.endsWith(key) ? `${key}: ` : '';
      return `  ${origin}: ${named}${message}`;
    });
    super(
      `the configuration has ${mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`}:\n${lines.join('\n')}`,
    );
    this.name = 'ConfigError';
    this.mistakes = mistakes;
  }
}
