import { NuGetError } from './errors.js';
import type { NuGetVersion } from './versions/nuget-version.js';

/** One version of one package. */
export interface PackageIdentity {
  readonly id: string;
  readonly version: NuGetVersion;
}

const MAX_ID_LENGTH = 100;
const ID = /^[\p{L}\p{Mn}\p{Nd}\p{Pc}]+(?:[.-][\p{L}\p{Mn}\p{Nd}\p{Pc}]+)*$/u;

/** Whether a text may be a package's id: words of letters, digits and `_`, joined by single dots or hyphens. */
export function isPackageId(text: string): boolean {
  return typeof text === 'string' && text.length <= MAX_ID_LENGTH && ID.test(text);
}

/**
 * The id, which must be one before it becomes part of a URL or a path.
 *
 * @throws {@link NuGetError} `INVALID_PACKAGE_ID`
 */
export function checkPackageId(id: string): string {
  if (isPackageId(id)) return id;
  const text = String(id);
  const shown = JSON.stringify(text.length > MAX_ID_LENGTH ? `${text.slice(0, MAX_ID_LENGTH)}…` : text);
  throw new NuGetError('INVALID_PACKAGE_ID', `${shown} is no package id`);
}

/** The id as URLs, paths and cache keys have it. Ids are the same whatever their case. */
export function lowerId(id: string): string {
  return checkPackageId(id).toLowerCase();
}

/** The version as URLs, paths and cache keys have it: the same for all the ways in which it may be written. */
export function lowerVersion(version: NuGetVersion): string {
  return version.toNormalizedString().toLowerCase();
}
