import { createHash } from 'node:crypto';
import type { PackageIdentity, SearchOptions } from '@granary/nuget';
import { versionName } from '../feed/version-name.js';
import type { EmbeddedFile } from '../packages/embedded-file.js';
import { shapes } from './answers/answer-shapes.js';

/** Longest version that is part of a key as it is. */
const MAX_NAME = 64;

// Where the answers of a source are kept: a place for each thing that it may be asked.
export const versionsPlace = (id: string) => ({ key: `versions/${id.toLowerCase()}`, shape: shapes.versions });
export const recordsPlace = (id: string) => ({ key: `records/${id.toLowerCase()}`, shape: shapes.records });
export const nuspecPlace = (identity: PackageIdentity) => ({ key: keyOf('nuspec', identity), shape: shapes.text });
export const embeddedPlace = (identity: PackageIdentity, file: EmbeddedFile) => ({
  key: keyOf(file, identity),
  shape: shapes.text,
});
/** Only that there is no such package is kept here. */
export const packagePlace = (identity: PackageIdentity) => ({ key: keyOf('package', identity), shape: shapes.text });
export const searchPlace = (query: string, options: SearchOptions) => ({
  key: keyOfSearch('search', query, options),
  shape: shapes.search,
});
export const idsPlace = (prefix: string, options: SearchOptions) => ({
  key: keyOfSearch('ids', prefix, options),
  shape: shapes.texts,
});
export const vulnerabilitiesPlace = { key: 'vulnerabilities', shape: shapes.vulnerabilities } as const;

/** Versions may be long. */
function keyOf(kind: string, { id, version }: PackageIdentity): string {
  const name = versionName(version);
  const short = name.length <= MAX_NAME ? name : createHash('sha256').update(name).digest('hex');
  return `${kind}/${id.toLowerCase()}/${short}`;
}

function keyOfSearch(kind: string, text: string, options: SearchOptions): string {
  const { includePrerelease = false, semVer2 = true, skip = 0, take, packageType, supportedFrameworks = [] } = options;
  const asked = JSON.stringify([text, includePrerelease, semVer2, skip, take, packageType, supportedFrameworks]);
  return `${kind}/${createHash('sha256').update(asked).digest('base64url')}`;
}
