import { NuGetVersion, type PackageIdentity } from '@granary/nuget';
import { FeedUnavailableError } from '../errors.js';
import type { Answer, FeedCall, FeedContent } from './feed-content.js';
import type { PackageRecord } from './package-record.js';

/**
 * What a feed says of all versions of a package, for who asks for one of them. One that a stale answer lacks may have come
 * since: it is not there only when the source of the package says so, or said so when it was asked for this very version.
 *
 * @throws FeedUnavailableError when nobody can tell
 */
export async function recordsWith(
  feed: FeedContent,
  identity: PackageIdentity,
  call: FeedCall,
): Promise<Answer<readonly PackageRecord[]> | undefined> {
  const { id, version } = identity;
  const answer = await feed.records(id, call);
  if (answer?.state !== 'stale' || hasVersion(answer, version)) return answer;
  if ((await feed.nuspec(identity, call)) === undefined) return answer;
  // What took too long before may have come meanwhile.
  const again = await feed.records(id, call);
  if (again !== undefined && hasVersion(again, version)) return again;
  throw new FeedUnavailableError(feed.name, `what it last said of ${id} is older than ${version}`);
}

function hasVersion({ value }: Answer<readonly PackageRecord[]>, version: NuGetVersion): boolean {
  return value.some((record) => NuGetVersion.tryParse(record.version)?.equals(version) === true);
}
