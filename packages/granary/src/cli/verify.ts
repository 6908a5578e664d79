import { resolve } from 'node:path';
import { verifyStore } from '@granary/blobs';
import type { Config } from '../config/schema.js';
import { formatSize } from '../config/size.js';
import { defaultStorageDirectory } from '../config/storage-directory.js';
import type { CommandIo, ExitCode } from './io.js';

/** Checks the store; 1 when something is wrong that was not removed. */
export async function verify(config: Config, repair: boolean, io: CommandIo): Promise<ExitCode> {
  const directory = resolve(config.storage.dir ?? defaultStorageDirectory());
  const report = await verifyStore({
    directory,
    repair,
    ...(io.interrupted && { signal: io.interrupted }),
    onFinding: ({ kind, subject, detail, repaired }) =>
      io.out(`${kind}: ${subject}: ${detail}${repaired ? ' (removed)' : ''}\n`),
  });
  const findings = report.damaged + report.missing + report.stray;
  const left = findings - report.repaired;
  io.out(
    `${directory}: ${report.blobs} blobs and ${report.actionResults} action results, ${formatSize(report.bytes)} read ` +
      `in ${(report.durationMs / 1000).toFixed(1)} s: ${report.damaged} damaged, ${report.missing} missing, ` +
      `${report.stray} stray, ${report.repaired} removed\n`,
  );
  if (left > 0 && !repair) io.err('granary verify --repair removes what is wrong; clients then upload it again.\n');
  return left === 0 ? 0 : 1;
}
