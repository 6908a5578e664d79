import { resolve } from 'node:path';
import { verifyStore } from '@granary/blobs';
import type { Config } from '../config/schema.js';
import { formatSize } from '../config/size.js';
import { defaultStorageDirectory } from '../config/storage-directory.js';
import type { CommandIo, ExitCode } from './io.js';

/** Checks the store; 1 when something is wrong that was not removed, or could not be looked at. */
export async function verify(config: Config, repair: boolean, io: CommandIo): Promise<ExitCode> {
  const directory = resolve(config.storage.dir ?? defaultStorageDirectory());
  const report = await verifyStore({
    directory,
    repair,
    ...(io.interrupted && { signal: io.interrupted }),
    onFinding: ({ kind, subject, detail, repaired }) =>
      io.out(`${kind}: ${subject}: ${detail}${repaired ? ' (removed)' : ''}\n`),
  });
  const removable = report.damaged + report.missing + report.stray - report.repaired;
  io.out(
    `${directory}: ${report.blobs} blobs and ${report.actionResults} action results, ${formatSize(report.bytes)} read ` +
      `in ${(report.durationMs / 1000).toFixed(1)} s: ${report.damaged} damaged, ${report.missing} missing, ` +
      `${report.stray} stray, ${report.unreadable} unreadable, ${report.repaired} removed\n`,
  );
  if (removable > 0 && !repair)
    io.err('granary verify --repair removes what is wrong; clients then upload it again.\n');
  if (report.unreadable > 0)
    io.err('What is unreadable is not checked: run granary verify as the user of the server.\n');
  return removable + report.unreadable === 0 ? 0 : 1;
}
