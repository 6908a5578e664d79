import { Digest, NoSpaceError } from '@granary/blobs';
import {
  isNuGetError,
  type NuGetErrorCode,
  type PackageHash,
  type PackageIdentity,
  type PackageRest,
  type PackageStream,
  SourceError,
  verifyPackage,
} from '@granary/nuget';
import type { Timers } from '@granary/resilience';
import { isOutage, retryAfterMsOf } from '../../feed/upstream-failures.js';
import { pause } from '../../pause.js';
import type { FreeSpace } from '../free-space.js';
import { PASSING_LIMITS } from '../passing-limits.js';
import { hasArchiveEnd } from './archive-end.js';
import { BeginningAgain } from './beginning-again.js';
import { BrokenStream, eachChunk } from './each-chunk.js';
import { PackageHashes } from './package-hashes.js';
import { Patience } from './patience.js';
import type { Spool } from './spool.js';

/** Every package begins with the header of its first file; a page in HTML doesn't. */
const BEGINNING = Buffer.from('PK\x03\x04', 'latin1');
const LESS_THAN = 0x3c;

/** Bytes that come between two looks at the free space. */
const LOOK_AT_SPACE_EVERY_BYTES = 64 * 1024 * 1024;

/** How often a package may break off and be asked for again: who waits for it waits meanwhile. */
const MAX_BREAKS = 2;

/** How long a source that can't be asked for the rest is left alone at first; twice as long each time, or as it says. */
const FIRST_WAIT_MS = 250;

/** Longer than this nobody is kept waiting for it. */
const LONGEST_WAIT_MS = 5000;

/** What is known of a package before it comes. */
export interface ExpectedPackage {
  /** As the source told it at some time. */
  readonly hash?: PackageHash | undefined;
  /** What it tells when it is asked anew, for a package that has another hash: that may have been replaced. */
  readonly hashNow?: ((signal: AbortSignal) => Promise<PackageHash | undefined>) | undefined;
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
  /** How long upstream may send nothing in the middle of a package; twice at most. */
  readonly idleTimeoutMs: number;
  readonly timers: Timers;
  readonly signal: AbortSignal;
  /** Asks upstream again, for the rest where that is given; undefined when it hasn't got the package any more. */
  readonly open: (signal: AbortSignal, rest: PackageRest | undefined) => Promise<PackageStream | undefined>;
  /** Told of every chunk, when it can be read from the spool, and how long the package will be. */
  readonly onChunk: (length: number | undefined) => void;
  /** Told when the package broke off, and upstream is asked again. */
  readonly onBreak: (error: SourceError) => void;
}

export interface ReceivedContent {
  readonly digest: Digest;
  /** In base64. */
  readonly sha512: string;
}

/** What has come of a package, and what was said of it when it began to come. */
interface Progress {
  readonly spool: Spool;
  readonly hashes: PackageHashes;
  /** Bytes of all of it. */
  readonly length: number | undefined;
  /** What its end has to bear out. */
  readonly told: readonly PackageHash[];
  readonly patience: Patience;
}

/**
 * Takes what upstream sends into a spool, and makes sure that it is the whole package, and the right one. When it breaks
 * off, upstream is asked for the rest: by a strong validator, or for the whole again, whose beginning must be what is here.
 * The bodies of all streams are over when this settles.
 *
 * @throws SourceError `SOURCE_UNAVAILABLE` when it breaks off or falls silent once too often, `INVALID_PACKAGE`, `LIMIT`
 * @throws NoSpaceError when the disk is too full
 */
export async function receivePackage(
  first: PackageStream,
  spool: Spool,
  options: ReceiveOptions,
): Promise<ReceivedContent> {
  const told = [options.expected.hash, first.hash].filter((hash) => hash !== undefined);
  const patience = new Patience(options.idleTimeoutMs, options.timers);
  const progress = { spool, hashes: new PackageHashes(told), length: first.length, told, patience };
  try {
    await receiveAll(first, progress, options);
  } finally {
    patience.stop();
  }
  checkSize(spool.size, options);
  await checkHashes(progress, options);
  await verify(progress, options);
  return {
    digest: Digest.fromBytes('sha256', progress.hashes.now('sha256'), spool.size),
    sha512: progress.hashes.now('sha512').toString('base64'),
  };
}

/** Takes what a stream has, and where that isn't all of it what others give then. */
async function receiveAll(first: PackageStream, progress: Progress, options: ReceiveOptions): Promise<void> {
  let stream = first;
  for (let breaks = 0; ; breaks++) {
    const broken = await receive(stream, progress, options);
    if (broken === undefined) return;
    progress.patience.broke();
    if (breaks === MAX_BREAKS || progress.patience.isOver) throw broken;
    stream = await askedAgain(first, broken, progress, options);
  }
}

/** Takes what a stream has. What it gives is what that broke off with. */
async function receive(
  stream: PackageStream,
  progress: Progress,
  options: ReceiveOptions,
): Promise<SourceError | undefined> {
  const { signal, idleTimeoutMs } = options;
  const { body } = stream;
  // What happens to it before it is read or after it was given up is nobody's business.
  body.on('error', () => {});
  const abort = () => body.destroy(errorOf(signal.reason));
  signal.addEventListener('abort', abort, { once: true });
  progress.patience.whenSilent(() =>
    body.destroy(failure(options, 'SOURCE_UNAVAILABLE', `sent nothing for ${idleTimeoutMs} ms`)),
  );
  try {
    signal.throwIfAborted();
    checkSize(stream.length, options);
    await admit((stream.length ?? 0) - progress.spool.size, options);
    return await takeAll(stream, progress, options);
  } finally {
    signal.removeEventListener('abort', abort);
    body.destroy();
  }
}

async function takeAll(
  stream: PackageStream,
  { spool, hashes, length: announced, patience }: Progress,
  options: ReceiveOptions,
): Promise<SourceError | undefined> {
  const { signal, maxPackageBytes } = options;
  const length = announced ?? stream.length;
  const most = Math.min(length ?? maxPackageBytes, maxPackageBytes);
  const isAgain = spool.size > 0 && (stream.offset ?? 0) === 0;
  const again = isAgain ? new BeginningAgain(spool.size, hashes.now('sha256')) : undefined;
  let lookAt = spool.size + LOOK_AT_SPACE_EVERY_BYTES;
  const take = (taken: Buffer): Promise<void> | undefined => {
    signal.throwIfAborted();
    patience.heard();
    const chunk = again === undefined ? taken : again.newOf(taken);
    if (chunk === undefined) throw becameAnother(options);
    if (chunk.length === 0) return undefined;
    if (spool.size + chunk.length > most) throw tooLong(length, options);
    if (spool.size < BEGINNING.length) checkBeginning(chunk, spool.size, options);
    hashes.update(chunk);
    const busy = spool.append(chunk);
    options.onChunk(announced);
    if (spool.size < lookAt) return busy;
    lookAt += LOOK_AT_SPACE_EVERY_BYTES;
    return Promise.all([busy, checkSpace((length ?? spool.size) - spool.size, options)]).then(() => {});
  };
  try {
    // While the disk was slow, upstream was not listened to.
    await eachChunk(stream.body, take, () => patience.heard());
  } catch (error) {
    if (!(error instanceof BrokenStream)) throw error;
    signal.throwIfAborted();
    return error.cause instanceof SourceError ? error.cause : brokeOff(spool, length, options, error.cause);
  }
  signal.throwIfAborted();
  const isWhole = length === undefined ? await hasArchiveEnd(spool.source()) : spool.size === length;
  return isWhole && again?.isOver !== false ? undefined : brokeOff(spool, length, options);
}

/**
 * What upstream gives after a package broke off: the rest of it, or the whole again.
 *
 * @throws what it broke off with, when there is nothing more
 */
async function askedAgain(
  { etag }: PackageStream,
  broken: SourceError,
  { spool, length, patience }: Progress,
  options: ReceiveOptions,
): Promise<PackageStream> {
  options.onBreak(broken);
  const waiting = new AbortController();
  patience.whenSilent(() => waiting.abort(broken));
  const signal = AbortSignal.any([options.signal, waiting.signal]);
  const rest = etag === undefined || spool.size === 0 ? undefined : { offset: spool.size, etag };
  const stream = await untilAnswered(rest, signal, options).catch(() => undefined);
  options.signal.throwIfAborted();
  if (stream === undefined) throw broken;
  const { offset = 0 } = stream;
  const isOther = length !== undefined && stream.length !== undefined && stream.length !== length;
  if (!isOther && (offset === 0 || (offset === spool.size && stream.etag === etag))) return stream;
  stream.body.on('error', () => {}).destroy();
  throw becameAnother(options);
}

/** A source that starts again cuts off what it sends, and then refuses connections for a moment. */
async function untilAnswered(
  rest: PackageRest | undefined,
  signal: AbortSignal,
  { open, timers }: ReceiveOptions,
): Promise<PackageStream | undefined> {
  let asked = rest;
  let waitMs = FIRST_WAIT_MS;
  for (;;) {
    try {
      return await open(signal, asked);
    } catch (error) {
      signal.throwIfAborted();
      if (isOutage(error)) {
        const pauseMs = Math.max(waitMs, retryAfterMsOf(error) ?? 0);
        if (pauseMs > LONGEST_WAIT_MS) throw error;
        await pause(pauseMs, timers, signal);
        waitMs *= 2;
      } else if (asked !== undefined && isNuGetError(error) && error.code === 'PROTOCOL') {
        // Who can't give a part may give the whole.
        asked = undefined;
      } else {
        throw error;
      }
    }
  }
}

async function checkHashes({ hashes, told }: Progress, options: ReceiveOptions): Promise<void> {
  const { expected, signal } = options;
  for (const each of told) {
    if (hashes.insteadOf(each) === undefined) continue;
    const hash = each === expected.hash && expected.hashNow ? await expected.hashNow(signal) : each;
    const actual = hash && hashes.insteadOf(hash);
    if (hash === undefined || actual === undefined) continue;
    throw failure(options, 'INVALID_PACKAGE', `has the ${hash.algorithm} hash ${actual}, not ${hash.value}`);
  }
}

async function verify({ spool }: Progress, options: ReceiveOptions): Promise<void> {
  const { identity, signal } = options;
  try {
    await verifyPackage(spool.source(), identity, { limits: PASSING_LIMITS, signal });
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
  if (minFreeBytes !== 0 && !(await freeSpace.admits(Math.max(0, bytes), minFreeBytes)))
    throw nearlyFull(bytes, minFreeBytes);
}

async function checkSpace(bytes: number, { minFreeBytes, freeSpace }: ReceiveOptions): Promise<void> {
  if (minFreeBytes !== 0 && !(await freeSpace.leaves(bytes, minFreeBytes))) throw nearlyFull(bytes, minFreeBytes);
}

function nearlyFull(bytes: number, minFreeBytes: number): NoSpaceError {
  return new NoSpaceError(`a package of ${bytes} more bytes would leave less than ${minFreeBytes} bytes free`);
}

/** A chunk may be as short as a byte. */
function checkBeginning(chunk: Buffer, position: number, options: ReceiveOptions): void {
  const wanted = BEGINNING.subarray(position, position + chunk.length);
  if (wanted.equals(chunk.subarray(0, wanted.length))) return;
  // Such as the one where this server is to sign in.
  const instead = position === 0 && chunk[0] === LESS_THAN ? ', but as a web page' : '';
  throw failure(options, 'INVALID_PACKAGE', `does not begin as packages do${instead}`);
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

function becameAnother(options: ReceiveOptions): SourceError {
  return failure(options, 'SOURCE_UNAVAILABLE', 'became another one while it came');
}

function failure(options: ReceiveOptions, code: NuGetErrorCode, what: string, cause?: unknown): SourceError {
  const { id, version } = options.identity;
  return new SourceError(code, options.source, `${id} ${version.toNormalizedString()} ${what}`, { cause });
}

function errorOf(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
