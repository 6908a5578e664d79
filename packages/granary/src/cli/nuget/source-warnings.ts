import type { NuGetErrorCode } from '@granary/nuget';
import { type LeveledLogger, loggerFor, redactText } from '@granary/telemetry';
import { plain } from '../terminal/text.js';
import type { NuGetIo } from './run-command.js';

/** What only one source failed with, the command fails with. */
const REPEATED = 'A source of several failed';
/** Said again by the command, or of a source of several. */
const DOWNLOAD = 'Could not download {PackageId} {Version} from {Source}';
/** Who can't be reached fails in several ways: after some attempts, and then at once. */
const UNREACHABLE: NuGetErrorCode = 'SOURCE_UNAVAILABLE';
/** What the operating system says: that a cache can't be written to fails anew with each file, all of other names. */
const SYSTEM_ERROR = /^E[A-Z\d]+$/;
const MAX_REMEMBERED = 1000;

/**
 * A logger whose warnings go to whoever started the command: each once, and once of a source that can't be reached or of a
 * cache that can't be written to.
 */
export function warningsTo(io: Pick<NuGetIo, 'err'>, sources: readonly { readonly name: string }[]): LeveledLogger {
  // A source that is down fails anew with each package of a graph.
  const said = new Set<string>();
  return loggerFor(
    {
      write(record) {
        if (record.template === DOWNLOAD || (sources.length === 1 && record.template === REPEATED)) return;
        const { code, message } = record.error ?? { message: '' };
        const reason = message === '' ? '' : `: ${plain(redactText(message))}`;
        const line = `granary: ${plain(record.message)}${reason}\n`;
        const gone = code === UNREACHABLE && sources.find(({ name }) => message.startsWith(`${name}: `))?.name;
        const kind = gone || (SYSTEM_ERROR.test(String(code)) && code);
        const fact = kind ? `${record.template}: ${kind}` : line;
        if (said.has(fact)) return;
        if (said.size < MAX_REMEMBERED) said.add(fact);
        io.err(line);
      },
    },
    { level: 'warning' },
  );
}
