import { Digest, inferDigestFunction, isDigestFunction } from '@granary/blobs';

/** A resource name, or an instance name, that is not of the protocol's form. Edges answer INVALID_ARGUMENT. */
export class ResourceNameError extends Error {
  readonly code = 'RESOURCE_NAME';

  constructor(message: string) {
    super(message);
    this.name = 'ResourceNameError';
  }
}

/** What ByteStream.Read asks for (REAPI v2, `ContentAddressableStorage`). */
export interface BlobName {
  /** Empty, or segments with single slashes between them. */
  readonly instance: string;
  /** Of the plain content, also when it travels compressed. */
  readonly digest: Digest;
  readonly compressor: 'identity' | 'zstd';
}

/** What ByteStream.Write and QueryWriteStatus ask for. Metadata after the size is accepted and dropped. */
export interface UploadName extends BlobName {
  /** Chosen by the client, so that two uploads of one blob can be told apart. */
  readonly uuid: string;
}

/** Words that begin the protocol's part of a name, and so can't be a segment of an instance's. */
const RESERVED = new Set([
  'blobs',
  'compressed-blobs',
  'uploads',
  'actions',
  'actionResults',
  'operations',
  'capabilities',
]);

/** Longest name that is looked at, in characters; names in use are below 200. */
const MAX_NAME_LENGTH = 8192;
const MAX_UUID_LENGTH = 256;
const DECIMAL = /^(?:0|[1-9]\d{0,15})$/;

/**
 * Parses `[INSTANCE/]blobs/[FUNCTION/]HASH/SIZE` or `[INSTANCE/]compressed-blobs/zstd/[FUNCTION/]HASH/SIZE`.
 *
 * @throws ResourceNameError
 */
export function parseBlobName(name: string): BlobName {
  const { segments, instance, at } = splitInstance(name);
  const { digest, compressor, end } = parseContent(name, segments, at);
  if (end !== segments.length) throw malformed(name, 'nothing may follow the size');
  return { instance, digest, compressor };
}

/**
 * Parses `[INSTANCE/]uploads/UUID/…`, with what {@link parseBlobName} takes behind the UUID and any metadata behind
 * that.
 *
 * @throws ResourceNameError
 */
export function parseUploadName(name: string): UploadName {
  const { segments, instance, at } = splitInstance(name);
  if (segments[at] !== 'uploads') throw malformed(name, 'it has no segment "uploads"');
  const uuid = segments[at + 1] ?? '';
  if (uuid === '' || uuid.length > MAX_UUID_LENGTH)
    throw malformed(name, `an upload's identifier has 1 to ${MAX_UUID_LENGTH} characters`);
  const { digest, compressor } = parseContent(name, segments, at + 2);
  return { instance, digest, compressor, uuid };
}

/** @throws ResourceNameError when the instance name is malformed */
export function formatBlobName({ instance, digest, compressor }: BlobName): string {
  checkInstanceName(instance);
  const content = compressor === 'identity' ? 'blobs' : `compressed-blobs/${compressor}`;
  const { hash } = digest;
  const fn = inferDigestFunction(hash.length) === digest.function ? '' : `${digest.function}/`;
  return `${instance}${instance && '/'}${content}/${fn}${hash}/${digest.size}`;
}

/** @throws ResourceNameError when the instance name or the UUID is malformed */
export function formatUploadName({ instance, digest, compressor, uuid }: UploadName): string {
  checkInstanceName(instance);
  if (uuid === '' || uuid.length > MAX_UUID_LENGTH || uuid.includes('/'))
    throw new ResourceNameError(`"${clip(uuid)}" is no identifier of an upload`);
  return `${instance}${instance && '/'}uploads/${uuid}/${formatBlobName({ instance: '', digest, compressor })}`;
}

/**
 * Checks an instance name that came by itself: empty, or segments of which none is empty or a reserved word.
 *
 * @throws ResourceNameError
 */
export function checkInstanceName(instance: string): void {
  if (instance === '') return;
  if (instance.length > MAX_NAME_LENGTH) throw malformed(instance, 'it is too long');
  for (const segment of instance.split('/')) {
    if (segment === '') throw malformed(instance, 'an instance name has no empty segments');
    if (RESERVED.has(segment)) throw malformed(instance, `an instance name can't have the segment "${segment}"`);
  }
}

/**
 * Cuts a name before the first reserved word. One slash at the beginning stands behind an empty instance name: clients
 * made with Go's SDK write it there, whether they have a name or not.
 */
function splitInstance(name: string): { segments: string[]; instance: string; at: number } {
  if (name.length > MAX_NAME_LENGTH) throw malformed(name, 'it is too long');
  const segments = name.slice(name.startsWith('/') ? 1 : 0).split('/');
  const at = segments.findIndex((segment) => RESERVED.has(segment));
  if (at === -1) throw malformed(name, 'it has no segment "blobs"');
  const before = segments.slice(0, at);
  if (before.includes('')) throw malformed(name, 'an instance name has no empty segments');
  return { segments, instance: before.join('/'), at };
}

function parseContent(
  name: string,
  segments: readonly string[],
  from: number,
): Pick<BlobName, 'digest' | 'compressor'> & { end: number } {
  let at = from;
  let compressor: BlobName['compressor'] = 'identity';
  const kind = segments[at++];
  if (kind === 'compressed-blobs') {
    if (segments[at++] !== 'zstd') throw malformed(name, 'the only compressor here is zstd');
    compressor = 'zstd';
  } else if (kind !== 'blobs') throw malformed(name, 'it has no segment "blobs" where one belongs');

  const named = segments[at] ?? '';
  const explicit = isDigestFunction(named) ? named : undefined;
  if (explicit) at++;
  const hash = segments[at++] ?? '';
  const fn = explicit ?? inferDigestFunction(hash.length);
  if (!fn) throw malformed(name, `"${clip(hash)}" is neither a hash nor a digest function known here`);
  const size = segments[at++] ?? '';
  if (!DECIMAL.test(size)) throw malformed(name, 'a size in decimal digits belongs behind the hash');
  try {
    return { digest: Digest.parse(fn, hash, Number(size)), compressor, end: at };
  } catch (error) {
    throw malformed(name, error instanceof Error ? error.message : String(error));
  }
}

function malformed(name: string, why: string): ResourceNameError {
  return new ResourceNameError(`the resource name "${clip(name)}" is malformed: ${why}`);
}

function clip(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
