/** Where a command speaks, and what it knows of its surroundings. */
export interface CommandIo {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted when the user interrupts a command. */
  readonly interrupted?: AbortSignal;
}

/** 0: done. 1: failed. 2: wrong usage or configuration. */
export type ExitCode = 0 | 1 | 2;
