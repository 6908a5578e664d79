import { createHash } from 'node:crypto';
import { Digest, NoSpaceError } from '@granary/blobs';
import {
  isNuGetError,
  type NuGetErrorCode,
  type PackageHash,
  type PackageIdentity,
  type PackageStream,
  SourceError,
  verifyPackage,
} from '@granary/nuget';
import { BrokenStream, eachChunk } from './each-chunk.js';
import type { FreeSpace } from './free-space.js';
import { type IdleTimers, IdleWatch } from './idle-watch.js';
import type { Spool } from './spool.js';

/** Every package begins with the header of its first file; a page in HTML doesn't. */
const BEGINNING = Buffer.from('PK\x03\x04', 'latin1');

/** Bytes that come between two looks at the free space. */
const LOOK_AT_SPACE_EVERY_BYTES = 64 * 1024 * 1024;

/** What is known of a package before it comes. */
export interface ExpectedPackage {
  /** As the source tells it. */
  readonly hash?: PackageHash | undefined;
  /** In bytes. */
  readonly size?: number | undefined;
}

export interface ReceiveOptions {
  readonly source: string;
  readonly identity: PackageIdentity;
  readonly expected: ExpectedPackage;
  readonly maxPackageBytes: number;
  /** Bytes that stay free; 0 looks at nothing. */
  readonly minFreeBytes: number;
  readonly freeSpace: FreeSpace;
  readonly idleTimeoutMs: number;
  readonly timers: IdleTimers;
  readonly signal: AbortSignal;
  /** Told of every chunk, when it can be read from the spool. */
  readonly onChunk: () => void;
}

export interface ReceivedContent {
  readonly digest: Digest;
  /** In base64. */
  readonly sha512: string;
}

/**
 * Takes what upstream sends into a spool, and makes sure that it is the whole package, and the right one. The stream's
 * body is over when this settles.
 *
 * @throws SourceError `SOURCE_UNAVAILABLE` when it breaks off or falls silent, `INVALID_PACKAGE`, `LIMIT`
 * @throws NoSpaceError when the disk is too full
 */
export async function receivePackage(
  stream: PackageStream,
  spool: Spool,
  options: ReceiveOptions,
): Promise<ReceivedContent> {
  const { signal, idleTimeoutMs, timers } = options;
  const { body, length } = stream;
  // What happens to it before it is read or after it was given up is nobody's business.
  body.on('error', () => {});
  const abort = () => body.destroy(errorOf(signal.reason));
  signal.addEventListener('abort', abort, { once: true });
  const watch = new IdleWatch(idleTimeoutMs, timers, () =>
    body.destroy(failure(options, 'SOURCE_UNAVAILABLE', `sent nothing for ${idleTimeoutMs} ms`)),
  );
  try {
    signal.throwIfAborted();
    checkSize(length, options);
    await admit(length ?? 0, options);
    const received = await receive(stream, spool, watch, options);
    watch.stop();
    if (length !== undefined && spool.size !== length) throw brokeOff(spool, length, options);
    checkSize(spool.size, options);
    await verify(spool, received.sha512, options);
    return received;
  } finally {
    watch.stop();
    signal.removeEventListener('abort', abort);
    body.destroy();
  }
}

async function receive(
  { body, length }: PackageStream,
  spool: Spool,
  watch: IdleWatch,
  options: ReceiveOptions,
): Promise<ReceivedContent> {
  const { signal, maxPackageBytes } = options;
  const most = Math.min(length ?? maxPackageBytes, maxPackageBytes);
  const sha256 = createHash('sha256');
  const sha512 = createHash('sha512');
  let lookAt = LOOK_AT_SPACE_EVERY_BYTES;
  const take = (chunk: Buffer): Promise<void> | undefined => {
    signal.throwIfAborted();
    watch.heard();
    if (spool.size + chunk.length > most) throw tooLong(length, options);
    if (spool.size < BEGINNING.length) checkBeginning(chunk, spool.size, options);
    sha256.update(chunk);
    sha512.update(chunk);
    const busy = spool.append(chunk);
    options.onChunk();
    if (spool.size < lookAt) return busy;
    lookAt += LOOK_AT_SPACE_EVERY_BYTES;
    return Promise.all([busy, checkSpace((length ?? spool.size) - spool.size, options)]).then(() => {});
  };
  try {
    // While the disk was slow, upstream was not listened to.
    await eachChunk(body, take, () => watch.heard());
  } catch (error) {
    if (!(error instanceof BrokenStream)) throw error;
    signal.throwIfAborted();
    throw isNuGetError(error.cause) ? error.cause : brokeOff(spool, length, options, error.cause);
  }
  signal.throwIfAborted();
  return { digest: Digest.fromBytes('sha256', sha256.digest(), spool.size), sha512: sha512.digest('base64') };
}

async function verify(spool: Spool, sha512: string, options: ReceiveOptions): Promise<void> {
  const { identity, expected, signal } = options;
  const { hash } = expected;
  const isSha512 = hash !== undefined && /^sha-?512$/i.test(hash.algorithm);
  if (isSha512 && hash.value.trim() !== sha512)
    throw failure(options, 'INVALID_PACKAGE', `has the ${hash.algorithm} hash ${sha512}, not ${hash.value}`);
  try {
    await verifyPackage(spool.source(), identity, { hash: isSha512 ? undefined : hash, signal });
  } catch (error) {
    if (!isNuGetError(error)) throw error;
    throw new SourceError(error.code, options.source, error.message, { cause: error });
  }
}

function checkSize(size: number | undefined, options: ReceiveOptions): void {
  if (size === undefined) return;
  const { maxPackageBytes, expected } = options;
  if (size > maxPackageBytes) throw tooLong(size, options);
  if (expected.size !== undefined && size !== expected.size)
    throw failure(options, 'INVALID_PACKAGE', `has ${size} bytes, not ${expected.size}`);
}

async function admit(bytes: number, { minFreeBytes, freeSpace }: ReceiveOptions): Promise<void> {
  if (minFreeBytes !== 0 && !(await freeSpace.admits(bytes, minFreeBytes))) throw nearlyFull(bytes, minFreeBytes);
}

async function checkSpace(bytes: number, { minFreeBytes, freeSpace }: ReceiveOptions): Promise<void> {
  if (minFreeBytes !== 0 && (await freeSpace.now()) - bytes < minFreeBytes) throw nearlyFull(bytes, minFreeBytes);
}

function nearlyFull(bytes: number, minFreeBytes: number): NoSpaceError {
  return new NoSpaceError(`a package of ${bytes} more bytes would leave less than ${minFreeBytes} bytes free`);
}

/** A chunk may be as short as a byte. */
function checkBeginning(chunk: Buffer, position: number, options: ReceiveOptions): void {
  const wanted = BEGINNING.subarray(position, position + chunk.length);
  if (!wanted.equals(chunk.subarray(0, wanted.length)))
    throw failure(options, 'INVALID_PACKAGE', 'does not begin as packages do');
}

function tooLong(size: number | undefined, options: ReceiveOptions): SourceError {
  const { maxPackageBytes } = options;
  return size !== undefined && size <= maxPackageBytes
    ? failure(options, 'SOURCE_UNAVAILABLE', `is longer than the ${size} bytes that were announced`)
    : failure(options, 'LIMIT', `is longer than ${maxPackageBytes} bytes`);
}

function brokeOff(spool: Spool, length: number | undefined, options: ReceiveOptions, cause?: unknown): SourceError {
  const all = length === undefined ? '' : ` of ${length}`;
  return failure(options, 'SOURCE_UNAVAILABLE', `broke off after ${spool.size}${all} bytes`, cause);
}

function failure(options: ReceiveOptions, code: NuGetErrorCode, what: string, cause?: unknown): SourceError {
  const { id, version } = options.identity;
  return new SourceError(code, options.source, `${id} ${version.toNormalizedString()} ${what}`, { cause });
}

function errorOf(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
