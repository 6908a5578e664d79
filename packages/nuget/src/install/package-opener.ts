import type { Readable } from 'node:stream';
import type { PackageIdentity } from '../package-identity.js';

/** A package on its way from a source. */
export interface OpenedPackage {
  /** Is read to its end or destroyed. */
  readonly body: Readable;
  /** Bytes, where the source says so. */
  readonly length?: number | undefined;
  /** URL or path of the source. */
  readonly source: string;
}

/** Where an installer gets packages from. */
export interface PackageOpener {
  /** Undefined when no source has it. */
  open(
    identity: PackageIdentity,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<OpenedPackage | undefined>;
}
