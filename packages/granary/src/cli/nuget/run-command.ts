import { isNuGetError, type NuGetError, type NuGetErrorCode, SourceError } from '@granary/nuget';
import { redactText } from '@granary/telemetry';
import type { CommandIo, ExitCode } from '../io.js';
import { Progress } from '../terminal/progress.js';
import { type Style, styleFor } from '../terminal/style.js';
import { plain } from '../terminal/text.js';
import { Interruption } from './interruption.js';

/** What a command gets beside its arguments. */
export interface NuGetIo extends CommandIo {
  /** Aborted when the user interrupts the command. */
  readonly signal: AbortSignal;
  /** For what is written with `out`. */
  readonly style: Style;
  /** The same for `err`, which may go elsewhere. */
  readonly errStyle: Style;
  /** Shows how far something is where `err` goes to a terminal, and gives way to whatever else is written there. */
  readonly progress: (total: number) => Progress;
}

/** A command that was called in a way that makes no sense. */
export class UsageError extends Error {}

/** What somebody who typed a command did wrong; everything else has failed. */
const USAGE: ReadonlySet<NuGetErrorCode> = new Set<NuGetErrorCode>([
  'INVALID_VERSION',
  'INVALID_VERSION_RANGE',
  'INVALID_FRAMEWORK',
  'INVALID_PACKAGE_ID',
  'INVALID_CONFIG',
  'INVALID_OPTION',
]);

const MAX_CAUSES = 10;

/** Runs a command, says in one line what it failed with, and answers with the exit code. */
export async function runCommand(io: CommandIo, command: (io: NuGetIo) => Promise<ExitCode>): Promise<ExitCode> {
  using interruption = io.interrupted ? undefined : new Interruption();
  const signal = io.interrupted ?? (interruption as Interruption).signal;
  const shared = withProgress(io);
  try {
    const [style, errStyle] = [styleFor(io.outColumns, io.environment), styleFor(io.errColumns, io.environment)];
    return await command({ ...io, ...shared, signal, style, errStyle });
  } catch (error) {
    if (signal.aborted) {
      shared.err('granary: interrupted; what was not finished is put away\n');
      return 1;
    }
    shared.err(`granary: ${explain(error)}\n`);
    return error instanceof UsageError || (isNuGetError(error) && USAGE.has(error.code)) ? 2 : 1;
  }
}

/** Both streams may be the one terminal on which progress is shown. */
function withProgress(io: CommandIo): Pick<NuGetIo, 'out' | 'err' | 'progress'> {
  let shown: Progress | undefined;
  const after = (write: (text: string) => void) => (text: string) => {
    shown?.clear();
    write(text);
  };
  // Where a line can't be drawn again there is no progress to show.
  const columns = () => (io.environment['TERM'] === 'dumb' ? undefined : io.errColumns);
  return {
    out: after(io.out),
    err: after(io.err),
    progress: (total) => {
      shown = new Progress({ write: io.err, columns, total });
      return shown;
    },
  };
}

/**
 * An error in one line, with what to do about it.
 *
 * @param hint - Default: what helps with errors of its kind
 */
export function explain(error: unknown, hint = isNuGetError(error) ? hintFor(error) : undefined): string {
  const message = error instanceof Error ? error.message : String(error);
  const reason = isNuGetError(error) && error.code === 'SOURCE_UNAVAILABLE' ? rootOf(error) : undefined;
  return [plain(redactText(message)), reason && `: ${plain(redactText(reason))}`, hint && `; ${hint}`].join('');
}

/** What the system said in the end: that nobody listens, that there is no such host, what is wrong with a certificate. */
function rootOf(error: Error): string | undefined {
  let root: Error = error;
  for (let depth = 0; depth < MAX_CAUSES && root.cause instanceof Error; depth++) root = root.cause;
  return root === error || error.message.includes(root.message) ? undefined : root.message;
}

/** Shells can set variables with simple names only. */
function variableFor(error: NuGetError): string {
  const isSimple = error instanceof SourceError && /^\w+$/.test(error.source);
  return isSimple ? ` or NuGetPackageSourceCredentials_${error.source} in the environment` : '';
}

function hintFor(error: NuGetError): string | undefined {
  switch (error.code) {
    case 'UNAUTHORIZED':
      return `set packageSourceCredentials in nuget.config${variableFor(error)}; for a push give the API key, too`;
    case 'FORBIDDEN':
      return 'whoever asks has no right to this; an API key may be wrong, of another source, or at its end';
    case 'CONFLICT':
      return error instanceof SourceError ? '--skip-duplicate passes over what is there already' : undefined;
    case 'PACKAGE_NOT_FOUND':
      return 'granary nuget sources shows which sources are asked, granary nuget search finds ids';
    case 'INVALID_PACKAGE_ID':
      return error.message.includes('@') ? 'a version stands by itself: ID VERSION' : undefined;
    case 'SOURCE_UNAVAILABLE':
      return 'check its URL with granary nuget sources, and the network';
    default:
      return undefined;
  }
}
