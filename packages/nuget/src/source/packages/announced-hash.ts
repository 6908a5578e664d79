import type { HttpResponse } from '@granary/http';
import { textOf } from '../source-requests.js';
import type { PackageHash } from './package-hash.js';

interface Announcement {
  readonly header: string;
  readonly algorithm: string;
  readonly bytes: number;
  readonly encoding: 'base64' | 'hex';
  /** Where in the header it is. Default: all of it. */
  readonly pattern?: RegExp;
}

/**
 * Headers that tell the hash of a package, the best first: nuget.org's, those of RFC 9530, of Artifactory, and of RFC 1864,
 * which storage of many kinds sends.
 */
const ANNOUNCEMENTS: readonly Announcement[] = [
  { header: 'x-ms-meta-sha512', algorithm: 'SHA512', bytes: 64, encoding: 'base64' },
  { header: 'repr-digest', algorithm: 'SHA512', bytes: 64, encoding: 'base64', pattern: /\bsha-512=:([^:]+):/ },
  { header: 'x-checksum-sha512', algorithm: 'SHA512', bytes: 64, encoding: 'hex' },
  { header: 'repr-digest', algorithm: 'SHA256', bytes: 32, encoding: 'base64', pattern: /\bsha-256=:([^:]+):/ },
  { header: 'x-checksum-sha256', algorithm: 'SHA256', bytes: 32, encoding: 'hex' },
  { header: 'x-checksum-sha1', algorithm: 'SHA1', bytes: 20, encoding: 'hex' },
  { header: 'content-md5', algorithm: 'MD5', bytes: 16, encoding: 'base64' },
];

/** The best hash of the whole body that its headers tell; what makes no sense as one is none. */
export function announcedHash(headers: HttpResponse['headers']): PackageHash | undefined {
  for (const { header, algorithm, bytes, encoding, pattern } of ANNOUNCEMENTS) {
    const text = textOf(headers[header])?.trim();
    const value = pattern === undefined ? text : text && pattern.exec(text)?.[1];
    if (value === undefined || value.length > 2 * bytes) continue;
    const hash = Buffer.from(value, encoding);
    if (hash.length === bytes) return { algorithm, value: hash.toString('base64') };
  }
  return undefined;
}
