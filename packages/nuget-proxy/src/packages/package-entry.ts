import { actionKey, Digest, isStoreError } from '@granary/blobs';
import type { PackageIdentity } from '@granary/nuget';
import { versionName } from '../feed/version-name.js';
import { bytesField, fieldsOf, numberField, readNumber } from './wire-fields.js';

/** What is written down of a package that is in the blob store. */
export interface PackageEntry {
  /** SHA-256 and size. */
  readonly digest: Digest;
  /** Of the whole package, in base64, as feeds tell it. */
  readonly sha512: string;
  /** When it was stored, in milliseconds since 1970. */
  readonly storedAt: number;
}

const VERSION = 1;

/** `id/version` in lower case, the version normalized: what names a package in a source. */
export function packageKey({ id, version }: PackageIdentity): string {
  return `${id.toLowerCase()}/${versionName(version)}`;
}

/**
 * The key of a package's entry among the action results. No client of those can name it, since a word of their protocol
 * isn't allowed in the names of instances: who may write results of builds could pass off packages otherwise.
 */
export function entryKey(source: string, key: string): string {
  return actionKey(`actionResults/nuget/${source}`, Digest.of('sha256', Buffer.from(key)));
}

/** Strong validator for `ETag`. */
export function etagOf({ digest }: PackageEntry): string {
  return `"${digest.hash}"`;
}

/**
 * The entry as the result of an action whose one output is the package. So every store and tier can keep it, knows that it
 * is of no use without its blob, and brings that one first.
 */
export function encodeEntry(key: string, { digest, sha512, storedAt }: PackageEntry): Buffer {
  const digestFields = Buffer.concat([bytesField(1, digest.hash), numberField(2, digest.size)]);
  const file = Buffer.concat([bytesField(1, fileName(key)), bytesField(2, digestFields)]);
  return Buffer.concat([bytesField(2, file), bytesField(5, JSON.stringify({ v: VERSION, sha512, storedAt }))]);
}

/** Undefined for what is no entry of this package, or one of another version of this software. */
export function decodeEntry(key: string, value: Buffer): PackageEntry | undefined {
  try {
    const result = fieldsOf(value);
    const file = fieldsOf(bytesOf(result.get(2)));
    if (bytesOf(file.get(1)).toString() !== fileName(key)) return undefined;
    const digest = fieldsOf(bytesOf(file.get(2)));
    const { v, sha512, storedAt } = JSON.parse(bytesOf(result.get(5)).toString()) ?? {};
    if (v !== VERSION || typeof sha512 !== 'string' || typeof storedAt !== 'number') return undefined;
    return {
      digest: Digest.parse('sha256', bytesOf(digest.get(1)).toString(), readNumber(digest.get(2))),
      sha512,
      storedAt,
    };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError || isStoreError(error)) return undefined;
    throw error;
  }
}

function fileName(key: string): string {
  return `${key.replace('/', '.')}.nupkg`;
}

function bytesOf(field: Buffer | number | undefined): Buffer {
  if (field instanceof Buffer) return field;
  throw new RangeError('a field is missing');
}
