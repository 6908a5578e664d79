import { NuGetError, type NupkgReader, type Nuspec } from '@granary/nuget';
import type { PackageRecord } from '../feed/package-record.js';
import { recordOf } from '../feed/record-of.js';
import type { StoredPackage } from '../packages/stored-package.js';

/** Longest version, with its metadata: it becomes part of names of files and URLs. */
const MAX_VERSION_LENGTH = 128;
const SYMBOLS = 'symbolspackage';

/**
 * What a pushed file says that it is. Cheap: the archive's directory and the nuspec are all that is read.
 *
 * @throws NuGetError `INVALID_PACKAGE` for what is no package, or none that feeds take; `LIMIT`
 */
export async function nuspecOfPushed(reader: NupkgReader): Promise<Nuspec> {
  // A copy, for which all of it is read: what makes no sense would be told to everybody who asks for the package.
  const nuspec = { ...(await reader.nuspec()) };
  const version = nuspec.version.toFullString();
  if (version.length > MAX_VERSION_LENGTH) {
    const shown = `${version.slice(0, 40)}…`;
    throw new NuGetError(
      'INVALID_PACKAGE',
      `version ${shown} of ${nuspec.id} has more than ${MAX_VERSION_LENGTH} characters`,
    );
  }
  if (nuspec.packageTypes.some(({ name }) => name.toLowerCase() === SYMBOLS)) {
    const what = `${nuspec.id} ${version} is a symbols package`;
    throw new NuGetError('INVALID_PACKAGE', `${what}, and this feed takes none: push the package itself (.nupkg)`);
  }
  return nuspec;
}

/** What the feed says of a package from now on. */
export function recordOfPushed(nuspec: Nuspec, stored: StoredPackage, published: Date): PackageRecord {
  const { license, packageTypes, icon, iconUrl } = nuspec;
  const record = recordOf({
    ...nuspec,
    // As for NuGet, the one that is in the package comes first.
    iconUrl: icon === undefined ? iconUrl : '',
    licenseExpression: license?.type === 'expression' ? license.value : undefined,
    published,
    listed: true,
    downloads: 0,
    vulnerabilities: [],
    packageSize: stored.size,
    packageHash: { algorithm: 'SHA512', value: stored.sha512 },
  });
  return { ...record, packageTypes: packageTypes.length > 0 ? packageTypes.map(({ name }) => name) : undefined };
}
