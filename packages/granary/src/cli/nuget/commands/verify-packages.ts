import { NupkgReader, verifyPackage } from '@granary/nuget';
import type { ExitCode } from '../../io.js';
import { plain } from '../../terminal/text.js';
import { filesOf } from '../file-patterns.js';
import { explain, type NuGetIo } from '../run-command.js';

interface Checked {
  readonly file: string;
  readonly valid: boolean;
  readonly id?: string;
  readonly version?: string;
  readonly signed?: boolean;
  /** Of the whole file, in base64. */
  readonly sha512?: string;
  readonly error?: string;
}

/** Checks that files are whole packages, every file in them included; 1 when one isn't. */
export async function verifyPackages(
  files: readonly string[],
  { json = false }: { readonly json?: boolean },
  io: NuGetIo,
): Promise<ExitCode> {
  const results: Checked[] = [];
  for (const file of await filesOf(files)) {
    const checked = await check(file, io.signal);
    results.push(checked);
    if (json) continue;
    const name = plain(file);
    if (!checked.valid) io.err(`${io.errStyle.bad('damaged')} ${name}: ${checked.error}\n`);
    else
      io.out(`${io.style.good('ok')}  ${name}: ${checked.id} ${checked.version}${checked.signed ? ', signed' : ''}\n`);
  }
  if (json) io.out(`${JSON.stringify({ packages: results }, null, 2)}\n`);
  return results.every(({ valid }) => valid) ? 0 : 1;
}

async function check(file: string, signal: AbortSignal): Promise<Checked> {
  try {
    await using reader = await NupkgReader.open(file);
    const { id, version } = await reader.nuspec();
    await verifyPackage(reader, { id, version }, { checkContents: true, signal });
    const sha512 = await reader.packageHash('sha512', signal);
    return { file, valid: true, id, version: version.toFullString(), signed: reader.isSigned, sha512 };
  } catch (error) {
    signal.throwIfAborted();
    return { file, valid: false, error: explain(error) };
  }
}
