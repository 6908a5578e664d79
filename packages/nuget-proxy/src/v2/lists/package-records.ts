import { isPackageId } from '@granary/nuget';
import { mapAtOnce } from '../../feed/batches.js';
import type { Answer, CacheState, FeedCall, FeedContent } from '../../feed/feed-content.js';
import { worseOf } from '../../feed/heard.js';
import type { PackageRecord } from '../../feed/package-record.js';
import { HttpError } from '../../http/http-error.js';

/** Most packages that one request may name. */
const MAX_IDS = 500;

/**
 * The records of packages by their names, in the order of the names; nothing for what isn't there. The answer is as old
 * as the oldest of them.
 *
 * @throws HttpError 400 for too many; FeedUnavailableError when it isn't known of all whether they are there
 */
export async function recordsOfAll(
  feed: FeedContent,
  ids: Iterable<string>,
  call: FeedCall,
): Promise<Answer<readonly (readonly PackageRecord[])[]>> {
  const wanted = [...ids];
  if (wanted.length > MAX_IDS) throw new HttpError(400, `at most ${MAX_IDS} packages can be asked for at once`);
  const answers = await mapAtOnce(wanted, async (id) => (isPackageId(id) ? feed.records(id, call) : undefined));
  let state: CacheState = 'hit';
  let asOf = Date.now();
  for (const answer of answers) {
    if (answer === undefined) continue;
    state = worseOf(state, answer.state);
    asOf = Math.min(asOf, answer.asOf);
  }
  return { value: answers.map((answer) => answer?.value ?? []), state, asOf };
}
