import type { HttpResponse } from '@granary/http';
import { textOf } from '../header-text.js';
import type { PackageHash } from './package-hash.js';

interface Announcement {
  readonly header: string;
  readonly algorithm: string;
  readonly bytes: number;
  readonly encoding: 'base64' | 'hex';
  /** What it is the hash of: the package as it is kept, or what is sent, which may have been compressed for the way. */
  readonly of: 'package' | 'body';
  /** Where in the header it is. Default: all of it. */
  readonly pattern?: RegExp;
}

/**
 * Headers that tell the hash of a package, the best first: nuget.org's, those of RFC 9530, of Artifactory, and of RFC 1864,
 * which storage of many kinds sends.
 */
const ANNOUNCEMENTS: readonly Announcement[] = [
  { header: 'x-ms-meta-sha512', algorithm: 'SHA512', bytes: 64, encoding: 'base64', of: 'package' },
  {
    header: 'repr-digest',
    algorithm: 'SHA512',
    bytes: 64,
    encoding: 'base64',
    of: 'body',
    pattern: /\bsha-512=:([^:]+):/,
  },
  { header: 'x-checksum-sha512', algorithm: 'SHA512', bytes: 64, encoding: 'hex', of: 'package' },
  {
    header: 'repr-digest',
    algorithm: 'SHA256',
    bytes: 32,
    encoding: 'base64',
    of: 'body',
    pattern: /\bsha-256=:([^:]+):/,
  },
  { header: 'x-checksum-sha256', algorithm: 'SHA256', bytes: 32, encoding: 'hex', of: 'package' },
  { header: 'x-checksum-sha1', algorithm: 'SHA1', bytes: 20, encoding: 'hex', of: 'package' },
  { header: 'content-md5', algorithm: 'MD5', bytes: 16, encoding: 'base64', of: 'body' },
];

/**
 * The best hash of a whole package that its headers tell; what makes no sense as one is none.
 *
 * @param isAsSent whether the body is known to be read as it was sent
 */
export function announcedHash(headers: HttpResponse['headers'], isAsSent: boolean): PackageHash | undefined {
  for (const { header, algorithm, bytes, encoding, of, pattern } of ANNOUNCEMENTS) {
    if (of === 'body' && !isAsSent) continue;
    const text = textOf(headers[header])?.trim();
    const value = pattern === undefined ? text : text && pattern.exec(text)?.[1];
    if (value === undefined || value.length > 2 * bytes) continue;
    const hash = Buffer.from(value, encoding);
    if (hash.length === bytes) return { algorithm, value: hash.toString('base64') };
  }
  return undefined;
}
