/** Where a command speaks, and what it knows of its surroundings. */
export interface CommandIo {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Columns of the terminal that `out` writes to; undefined where it is none. */
  readonly outColumns?: number | undefined;
  /** Columns of the terminal that `err` writes to; undefined where it is none. */
  readonly errColumns?: number | undefined;
  /** Everything that standard input has. Default: nothing. */
  readonly readInput?: () => Promise<string>;
  /** Called when the command listens to the signals that ask for its end. Default: nobody waits for that. */
  readonly signalsTaken?: (() => void) | undefined;
  /** Aborted when the user interrupts a command. */
  readonly interrupted?: AbortSignal;
}

/** 0: done. 1: failed. 2: wrong usage or configuration. */
export type ExitCode = 0 | 1 | 2;
