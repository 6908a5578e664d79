import type { NuGetErrorCode } from '@granary/nuget';
import { type LeveledLogger, loggerFor, redactText } from '@granary/telemetry';
import { plain } from '../terminal/text.js';
import type { NuGetIo } from './run-command.js';

/** What only one source failed with, the command fails with. */
const REPEATED = 'A source of several failed';
/** Who can't be reached fails in several ways: after some attempts, and then at once. */
const UNREACHABLE: NuGetErrorCode = 'SOURCE_UNAVAILABLE';
const MAX_REMEMBERED = 1000;

/** A logger whose warnings go to whoever started the command: each once, and once of a source that can't be reached. */
export function warningsTo(io: Pick<NuGetIo, 'err'>, sources: readonly { readonly name: string }[]): LeveledLogger {
  // A source that is down fails anew with each package of a graph.
  const said = new Set<string>();
  return loggerFor(
    {
      write(record) {
        if (sources.length === 1 && record.template === REPEATED) return;
        const { code, message } = record.error ?? { message: '' };
        const reason = message === '' ? '' : `: ${plain(redactText(message))}`;
        const line = `granary: ${plain(record.message)}${reason}\n`;
        const gone = code === UNREACHABLE && sources.find(({ name }) => message.startsWith(`${name}: `))?.name;
        const fact = gone ? `${record.template}: ${gone}` : line;
        if (said.has(fact)) return;
        if (said.size < MAX_REMEMBERED) said.add(fact);
        io.err(line);
      },
    },
    { level: 'warning' },
  );
}
