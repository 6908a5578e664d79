import { checkPackageId, isNuGetError, NuGetVersion, PackageNotFoundError, VersionRange } from '@granary/nuget';
import { UsageError } from './run-command.js';
import type { Session } from './session.js';

/** What somebody typed for a package: `ID` or `ID@VERSION`. */
export interface PackageSpec {
  readonly id: string;
  readonly version: string | undefined;
}

const LATEST = 'latest';

/** @throws UsageError, or NuGetError `INVALID_PACKAGE_ID` */
export function parseSpec(text: string): PackageSpec {
  const at = text.indexOf('@');
  if (at < 0) return { id: checkPackageId(text), version: undefined };
  const version = text.slice(at + 1);
  if (version === '') throw new UsageError(`found "${text}"; allowed: ID or ID@VERSION`);
  const id = checkPackageId(text.slice(0, at));
  if (version !== LATEST && NuGetVersion.tryParse(version) === undefined) checkedRange(id, version);
  return { id, version };
}

/**
 * A range as it is typed.
 *
 * @throws UsageError for what is none
 */
export function checkedRange(id: string, text: string): VersionRange {
  const range = VersionRange.tryParse(text);
  if (range !== undefined) return range;
  throw new UsageError(
    `found "${text}" as the version of ${id}; allowed: a version, a range such as [1.0,2.0), 1.* or latest`,
  );
}

/**
 * The version that is meant: a version as it is; for a range or a floating one what NuGet would take of it; for none, or
 * `latest`, the highest one that is listed.
 *
 * @throws PackageNotFoundError when there is none
 * @throws Error when none is listed, and none is named
 */
export async function chooseVersion(
  { id, version }: PackageSpec,
  includePrerelease: boolean,
  session: Session,
): Promise<NuGetVersion> {
  const { client, call } = session;
  const where = session.sourcesFor(id);
  if (version === undefined || version === LATEST) {
    const all = await knownOf(id, session);
    const listed = all.filter((metadata) => metadata.listed).map((metadata) => metadata.version);
    const stable = listed.filter(({ isPrerelease }) => includePrerelease || !isPrerelease);
    // A package that has nothing else is meant with its prereleases.
    const newest = stable.at(-1) ?? listed.at(-1);
    const hidden = all.at(-1)?.version;
    if (newest === undefined && hidden !== undefined)
      throw new Error(`all versions of ${id} in ${where} are unlisted: say which one, such as ${hidden}`);
    if (newest === undefined) throw new PackageNotFoundError(id, undefined, where);
    return newest;
  }
  const exact = NuGetVersion.tryParse(version);
  if (exact !== undefined) return exact;
  const best = checkedRange(id, version).findBestMatch(await client.listVersions(id, call));
  if (best === undefined) throw new PackageNotFoundError(id, version, where);
  return best;
}

/** All versions, and whether they are listed: sources that tell nothing of their packages list what they have. */
async function knownOf(
  id: string,
  { client, call }: Session,
): Promise<readonly { readonly version: NuGetVersion; readonly listed: boolean }[]> {
  try {
    return await client.listMetadata(id, call);
  } catch (error) {
    if (!isNuGetError(error) || error.code !== 'UNSUPPORTED') throw error;
    return (await client.listVersions(id, call)).map((version) => ({ version, listed: true }));
  }
}
