import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { makeFolder } from '@granary/cache/folders';
import { type NuGetVersion, NupkgReader, verifyPackage } from '@granary/nuget';
import { SemaphoreThrottle } from '@granary/resilience';
import { formatSize } from '../../../config/size.js';
import type { ExitCode } from '../../io.js';
import type { Progress } from '../../terminal/progress.js';
import { plain } from '../../terminal/text.js';
import { chooseVersion, type PackageSpec, parseSpec } from '../choose-version.js';
import { toJson } from '../json.js';
import { concurrencyOf } from '../numbers.js';
import { explain, type NuGetIo } from '../run-command.js';
import { openSession, type Session, type SessionOptions } from '../session.js';

export interface DownloadCommandOptions extends SessionOptions {
  readonly output?: string;
  readonly prerelease?: boolean;
  readonly concurrency?: string;
}

interface Outcome {
  readonly id: string;
  readonly version: string | undefined;
  readonly status: 'downloaded' | 'present' | 'failed';
  readonly file?: string;
  readonly size?: number;
  readonly source?: string;
  readonly error?: string;
}

/**
 * Downloads packages into a folder as `{id}.{version}.nupkg`. What is there already and whole stays; each new file
 * appears when all of it is there. One that fails doesn't stop the others.
 */
export async function download(
  texts: readonly string[],
  options: DownloadCommandOptions,
  io: NuGetIo,
): Promise<ExitCode> {
  const specs = texts.map(parseSpec);
  const limit = concurrencyOf(options.concurrency);
  const folder = resolve(options.output ?? '.');
  const progress = io.progress(specs.length);
  await using session = await openSession(options, io);
  await makeFolder(folder);
  const names = await readdir(folder);
  await removeAbandoned(folder, names);
  const present = new Map(names.map((name) => [name.toLowerCase(), name]));
  const throttle = new SemaphoreThrottle(limit, { maxQueue: specs.length });
  const work = async (spec: PackageSpec): Promise<Outcome> => {
    const outcome = await downloadOne(spec, { folder, present, session, progress, options });
    if (!options.json) report(outcome, io);
    progress.finishOne();
    return outcome;
  };
  // All are waited for before anything is closed, and the files that they have begun are put away.
  const settled = await Promise.allSettled(specs.map((spec) => throttle.run(() => work(spec), { signal: io.signal })));
  progress.clear();
  io.signal.throwIfAborted();
  const outcomes = settled.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
  if (options.json) io.out(toJson({ packages: outcomes }));
  return outcomes.some(({ status }) => status === 'failed') ? 1 : 0;
}

const TEMPORARY = /^\.[\da-f-]{36}\.nupkg\.tmp$/;
/** No download takes that long. */
const ABANDONED_MS = 24 * 3_600_000;

/** Removes what downloads have left that were killed. */
async function removeAbandoned(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    if (!TEMPORARY.test(name)) continue;
    const path = join(folder, name);
    const stats = await stat(path).catch(() => undefined);
    // One that can't be removed is in nobody's way.
    if (stats !== undefined && stats.mtimeMs + ABANDONED_MS < Date.now()) await rm(path).catch(() => {});
  }
}

interface Job {
  readonly folder: string;
  /** Names of the files in the folder, by themselves in lower case. */
  readonly present: ReadonlyMap<string, string>;
  readonly session: Session;
  readonly progress: Progress;
  readonly options: DownloadCommandOptions;
}

async function downloadOne(spec: PackageSpec, job: Job): Promise<Outcome> {
  const { folder, present, session, progress, options } = job;
  const { id } = spec;
  let version: NuGetVersion | undefined;
  try {
    progress.start(id);
    version = await chooseVersion(spec, options.prerelease ?? false, session);
    const shown = version.toNormalizedString();
    progress.start(`${id} ${shown}`);
    const found = present.get(`${id}.${shown}.nupkg`.toLowerCase());
    const file = found && join(folder, found);
    if (file !== undefined && (await isWhole(file, id, version, session))) {
      return { id, version: shown, status: 'present', file };
    }
    return await fetchOne(id, version, job);
  } catch (error) {
    session.call.signal.throwIfAborted();
    return { id, version: version?.toNormalizedString() ?? spec.version, status: 'failed', error: explain(error) };
  }
}

async function fetchOne(id: string, version: NuGetVersion, { folder, session, progress }: Job): Promise<Outcome> {
  const { signal } = session.call;
  const stream = await session.client.downloadPackage(id, version, session.call);
  const temporary = join(folder, `.${randomUUID()}.nupkg.tmp`);
  try {
    const counted = async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        progress.add(chunk.length);
        yield chunk;
      }
    };
    await pipeline(stream, counted, createWriteStream(temporary, { flags: 'wx', flush: true }), { signal });
    const identity = await identityOf(temporary);
    const name = `${identity.id}.${identity.version.toNormalizedString()}.nupkg`;
    await rename(temporary, join(folder, name));
    const { size, source } = stream;
    return {
      id: identity.id,
      version: version.toNormalizedString(),
      status: 'downloaded',
      file: join(folder, name),
      size,
      source,
    };
  } catch (error) {
    stream.destroy();
    await rm(temporary, { force: true });
    throw error;
  }
}

async function identityOf(file: string) {
  await using reader = await NupkgReader.open(file);
  return await reader.nuspec();
}

async function isWhole(file: string, id: string, version: NuGetVersion, { call }: Session): Promise<boolean> {
  try {
    await verifyPackage(file, { id, version }, { checkContents: true, signal: call.signal });
    return true;
  } catch {
    call.signal.throwIfAborted();
    return false;
  }
}

function report({ id, version, status, file, size, source, error }: Outcome, io: NuGetIo): void {
  const name = io.style.bold(`${id} ${version ?? ''}`.trim());
  if (status === 'failed') io.err(`granary: ${plain(id)}: ${error}\n`);
  else if (status === 'present') io.out(`${name} ${plain(`is there already: ${file}`)}\n`);
  else io.out(`${name} ${plain(`from ${source}, ${formatSize(size ?? 0)}: ${file}`)}\n`);
}
