import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import {
  isNuGetError,
  loadNuGetConfig,
  NuGetVersion,
  NupkgReader,
  type PackageIdentity,
  PackageNotFoundError,
  type PushedPackage,
  verifyPackage,
} from '@granary/nuget';
import type { ExitCode } from '../../io.js';
import type { Progress } from '../../terminal/progress.js';
import { plain } from '../../terminal/text.js';
import { filesOf } from '../file-patterns.js';
import { toJson } from '../json.js';
import { wholeNumberOf } from '../numbers.js';
import { explain, type NuGetIo } from '../run-command.js';
import { openSession, pushOptions, type Session, type SessionOptions } from '../session.js';

export interface PushCommandOptions extends SessionOptions {
  readonly apiKey?: string;
  readonly skipDuplicate?: boolean;
  /** Seconds. */
  readonly timeout?: string;
}

interface Outcome {
  readonly file: string;
  readonly status: 'pushed' | 'duplicate' | 'failed';
  readonly id?: string;
  readonly version?: string;
  readonly error?: string;
}

const MAX_TIMEOUT_S = 24 * 60 * 60;

/** A package that was looked at, and can be pushed. */
interface CheckedFile {
  readonly file: string;
  readonly identity: PackageIdentity;
  readonly size: number;
}

/** Pushes files one after the other, after looking at all of them; the first that fails ends it. */
export async function push(files: readonly string[], options: PushCommandOptions, io: NuGetIo): Promise<ExitCode> {
  const timeoutS = wholeNumberOf('--timeout', options.timeout, 1, MAX_TIMEOUT_S, 'seconds');
  await using session = await openPushSession(options, io);
  const source = session.sources[0]?.name ?? '';
  const checked: CheckedFile[] = [];
  for (const file of await filesOf(files)) {
    try {
      checked.push({ file, ...(await check(file, io.signal)) });
    } catch (error) {
      io.signal.throwIfAborted();
      const outcome: Outcome = { file, status: 'failed', error: explain(error) };
      if (options.json) io.out(toJson({ source, packages: [outcome] }));
      else report(outcome, source, io);
      return 1;
    }
  }
  const progress = io.progress(checked.length);
  const apiKey = apiKeyOf(options, session, io);
  const send = (body: PushedPackage, symbols: boolean) =>
    session.client.push(source, body, { ...session.call, apiKey, timeoutMs: timeoutS && timeoutS * 1000, symbols });
  const outcomes: Outcome[] = [];
  for (const each of checked) {
    const outcome = await pushFile(each, options, io.signal, progress, send);
    outcomes.push(outcome);
    if (!options.json) report(outcome, source, io);
    if (outcome.status === 'failed') break;
    progress.finishOne();
  }
  progress.clear();
  if (options.json) io.out(toJson({ source, packages: outcomes }));
  return outcomes.some(({ status }) => status === 'failed') ? 1 : 0;
}

/** What came of it. Rejects only when the command is interrupted. */
async function pushFile(
  { file, identity, size }: CheckedFile,
  { skipDuplicate }: PushCommandOptions,
  signal: AbortSignal,
  progress: Progress,
  send: (body: PushedPackage, symbols: boolean) => Promise<void>,
): Promise<Outcome> {
  const version = identity.version.toNormalizedString();
  const named = { file, id: identity.id, version };
  progress.start(`${identity.id} ${version}`);
  try {
    await send(pushed(file, size, progress), /\.snupkg$/i.test(file));
    return { ...named, status: 'pushed' };
  } catch (error) {
    signal.throwIfAborted();
    if (isNuGetError(error) && error.code === 'CONFLICT' && skipDuplicate) return { ...named, status: 'duplicate' };
    return { ...named, status: 'failed', error: explain(error) };
  } finally {
    progress.clear();
  }
}

/** Deletes a version, or takes it out of searches, as the source has it. */
export async function deletePackage(
  id: string,
  text: string,
  options: PushCommandOptions,
  io: NuGetIo,
): Promise<ExitCode> {
  const version = NuGetVersion.parse(text);
  await using session = await openPushSession(options, io);
  const name = session.sources[0]?.name ?? '';
  const call = { ...session.call, apiKey: apiKeyOf(options, session, io) };
  if (!(await session.client.delete(name, id, version, call))) {
    throw new PackageNotFoundError(id, version.toNormalizedString(), name);
  }
  if (options.json) io.out(toJson({ source: name, id, version }));
  else
    io.out(
      `${io.style.bold(`${id} ${version.toNormalizedString()}`)} is deleted from ${plain(name)}, or hidden there\n`,
    );
  return 0;
}

async function openPushSession(options: PushCommandOptions, io: NuGetIo): Promise<Session> {
  const config = await loadNuGetConfig({ configFile: options.configFile, environment: io.environment });
  return openSession(pushOptions(options, config), io);
}

function apiKeyOf(
  options: PushCommandOptions,
  { config, sources }: Session,
  { environment }: NuGetIo,
): string | undefined {
  return (
    options.apiKey ||
    environment['GRANARY_NUGET_API_KEY'] ||
    environment['NUGET_API_KEY'] ||
    config.apiKey(...sources.map(({ url }) => url))
  );
}

/** What would be refused after a long upload is better refused before it. */
async function check(file: string, signal: AbortSignal): Promise<{ identity: PackageIdentity; size: number }> {
  await using reader = await NupkgReader.open(file);
  const { id, version } = await reader.nuspec();
  await verifyPackage(reader, { id, version }, { checkContents: true, signal });
  return { identity: { id, version }, size: (await stat(file)).size };
}

function pushed(file: string, size: number, progress: Progress): PushedPackage {
  async function* counted() {
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      progress.add(chunk.length);
      yield chunk;
    }
  }
  return { name: basename(file), size, open: () => Readable.from(counted(), { objectMode: false }) };
}

function report({ file, id, version, status, error }: Outcome, source: string, io: NuGetIo): void {
  const name = io.style.bold(`${id} ${version}`);
  if (status === 'failed') io.err(`granary: ${plain(file)}: ${error}\n`);
  else
    io.out(
      status === 'pushed' ? `${name} is pushed to ${plain(source)}\n` : `${name} is in ${plain(source)} already\n`,
    );
}
