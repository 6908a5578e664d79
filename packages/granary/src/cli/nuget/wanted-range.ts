import { VersionRange } from '@granary/nuget';
import { checkedRange, chooseVersion } from './choose-version.js';
import type { Session } from './session.js';

/**
 * What a project would write for a package: the range as it is, where `1.0` means that version or a higher one; for none,
 * or `latest`, the newest that is listed.
 */
export async function wantedRange(
  id: string,
  text: string | undefined,
  { prerelease = false }: { readonly prerelease?: boolean },
  session: Session,
): Promise<VersionRange> {
  if (text === undefined || text === 'latest') {
    return new VersionRange({ minVersion: await chooseVersion({ id, version: undefined }, prerelease, session) });
  }
  return checkedRange(id, text);
}
