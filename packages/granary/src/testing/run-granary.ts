import type { CommandIo, ExitCode } from '../cli/io.js';
import { run } from '../cli/run.js';

export interface GranaryRun {
  readonly exitCode: ExitCode;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process, with nothing of its surroundings but what is given. */
export async function runGranary(words: readonly string[], io: Partial<CommandIo> = {}): Promise<GranaryRun> {
  let out = '';
  let err = '';
  const exitCode = await run(words, {
    environment: {},
    ...io,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { exitCode, out, err };
}
