import type { NuGetVersion, PackageIdentity } from '@granary/nuget';
import type { FeedCall, FeedContent } from '../feed/feed-content.js';
import { isRefused, isSilence, isUnoffered, unavailable } from '../feed/upstream-failures.js';
import { versionName } from '../feed/version-name.js';

/** Something that belongs to one version of a package, and who may have it. */
export interface FirstQuestion<T> {
  /** In the order in which they are preferred. */
  readonly sources: readonly FeedContent[];
  readonly identity: PackageIdentity;
  readonly ask: (source: FeedContent, call: FeedCall) => Promise<T | undefined>;
  readonly call: FeedCall | undefined;
  /** Ends what nobody needs. */
  readonly release?: ((found: T) => void) | undefined;
}

/**
 * From the first source that lists the version, or can't say; from the others only when none of these gives it, since their
 * lists may be older than the version. What a source lists and refuses, as one does that holds back packages, comes from no
 * other source.
 *
 * @throws FeedUnavailableError when none gives it, and one of them couldn't tell
 */
export async function firstToGive<T>(question: FirstQuestion<T>): Promise<T | undefined> {
  const failures: unknown[] = [];
  let isAnswered = false;
  for await (const candidates of likelyFirst(question)) {
    for await (const { source, isListed, found, error } of answersOf(candidates, question)) {
      if (found !== undefined) return found;
      if (error === undefined) {
        isAnswered = true;
        continue;
      }
      const failure = unavailable(source.name, error);
      if (isListed && isRefused(failure)) throw failure;
      failures.push(failure);
    }
  }
  const failure = failures.find((each) => !isUnoffered(each)) ?? (isAnswered ? undefined : failures[0]);
  if (failure !== undefined) throw failure;
  return undefined;
}

/** Whether a source says that it has a version. */
export async function lists(source: FeedContent, id: string, version: NuGetVersion, call?: FeedCall): Promise<boolean> {
  const name = versionName(version);
  const listed = await source.versions(id, call);
  return listed?.value.some((each) => each.version === name) === true;
}

/** A source that may have a version, and whether it has been waited for long enough. */
interface Candidate {
  readonly source: FeedContent;
  readonly isListed: boolean;
  readonly localOnly: boolean;
}

/**
 * Those that are asked one after the other, then those that are asked at once. The lists of all are asked for at once, but
 * nobody waits for that of a source that comes after one that has the version.
 */
async function* likelyFirst<T>({ sources, identity, call }: FirstQuestion<T>): AsyncGenerator<readonly Candidate[]> {
  const [only] = sources;
  if (only !== undefined && sources.length === 1) {
    yield [{ source: only, isListed: false, localOnly: false }];
    return;
  }
  const asked = sources.map(async (source) => {
    try {
      return { source, localOnly: false, isListed: await lists(source, identity.id, identity.version, call) };
    } catch (error) {
      return { source, localOnly: isSilence(error), isListed: false, isUnknown: true };
    }
  });
  const unlikely: Candidate[] = [];
  for (const answer of asked) {
    const candidate = await answer;
    if (candidate.isListed || candidate.isUnknown) yield [candidate];
    else unlikely.push(candidate);
  }
  call?.signal?.throwIfAborted();
  // Mostly none of them has it, and each that says nothing would be waited for.
  yield unlikely;
}

interface Given<T> extends Candidate {
  readonly found: T | undefined;
  readonly error: unknown;
}

/** What they say, in their order. What comes of those that nobody listens to any more is released. */
async function* answersOf<T>(
  candidates: readonly Candidate[],
  { ask, call, release }: FirstQuestion<T>,
): AsyncGenerator<Given<T>> {
  const asked = candidates.map(async (candidate): Promise<Given<T>> => {
    try {
      const found = await ask(candidate.source, { ...call, localOnly: candidate.localOnly });
      return { ...candidate, found, error: undefined };
    } catch (error) {
      return { ...candidate, found: undefined, error: error ?? new Error('it failed') };
    }
  });
  let heard = 0;
  try {
    for (const answer of asked) {
      const given = await answer;
      heard++;
      if (given.error !== undefined) call?.signal?.throwIfAborted();
      yield given;
    }
  } finally {
    for (const answer of asked.slice(heard)) {
      void answer.then(({ found }) => {
        if (found !== undefined) release?.(found);
      });
    }
  }
}
