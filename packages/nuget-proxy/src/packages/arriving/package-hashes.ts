import { createHash, type Hash } from 'node:crypto';
import type { PackageHash } from '@granary/nuget';

/** What packages are kept by, and what most sources tell. */
const ALWAYS = ['sha256', 'sha512'] as const;

/** What some sources tell beside these, in headers that have the bytes' way here in mind. Others are not looked at. */
const MORE: ReadonlySet<string> = new Set(['md5', 'sha1', 'sha384']);

/** The hashes of a package while it comes: those that it is kept by, and of what kind the source tells one. */
export class PackageHashes {
  readonly #hashes = new Map<string, Hash>();

  constructor(told: readonly PackageHash[]) {
    for (const name of ALWAYS) this.#hashes.set(name, createHash(name));
    for (const { algorithm } of told) {
      const name = nameOf(algorithm);
      if (MORE.has(name) && !this.#hashes.has(name)) this.#hashes.set(name, createHash(name));
    }
  }

  update(chunk: Buffer): void {
    for (const hash of this.#hashes.values()) hash.update(chunk);
  }

  /** Of what has come so far, of one of those that there are always. */
  now(name: (typeof ALWAYS)[number]): Buffer {
    return (this.#hashes.get(name) as Hash).copy().digest();
  }

  /** What has come has instead of a hash that was told, in base64; undefined when it has that, or nobody can tell. */
  insteadOf({ algorithm, value }: PackageHash): string | undefined {
    const actual = this.#hashes.get(nameOf(algorithm))?.copy().digest('base64');
    return actual === value.trim() ? undefined : actual;
  }
}

/** `SHA-512` as Node has it. */
const nameOf = (algorithm: string): string => algorithm.toLowerCase().replace('-', '');
