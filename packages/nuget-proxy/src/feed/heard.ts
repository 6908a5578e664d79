import type { Answer, CacheState, FeedCall, FeedContent } from './feed-content.js';
import { isUnoffered, unavailable } from './upstream-failures.js';

/** What one of several sources said: an answer, nothing, or that it can't tell. */
export interface Heard<T> {
  readonly source: FeedContent;
  readonly answer: Answer<T> | undefined;
  /** Where it is known from that there is nothing, as far as the source said so. */
  readonly nothing?: CacheState | undefined;
  readonly error: unknown;
}

/** From the best to the worst. */
const STATES: readonly CacheState[] = ['hit', 'revalidated', 'miss', 'stale'];

export function worseOf(one: CacheState, other: CacheState): CacheState {
  return STATES.indexOf(other) > STATES.indexOf(one) ? other : one;
}

/** Where an answer comes from, and how old it is. */
export type Origin = Pick<Answer<unknown>, 'state' | 'asOf'>;

/** What is said of an answer that has two parts: it is as fresh as the worse of them. */
export function originOf(one: Origin, other: Origin): Origin {
  return { state: worseOf(one.state, other.state), asOf: Math.min(one.asOf, other.asOf) };
}

/** Asks all at once, and gives what they say in their order. Rejects only when the caller has gone. */
export async function askAll<T>(
  sources: readonly FeedContent[],
  ask: (source: FeedContent, call: FeedCall) => Promise<Answer<T> | undefined>,
  call: FeedCall | undefined,
): Promise<readonly Heard<T>[]> {
  const heard = await Promise.all(
    sources.map(async (source): Promise<Heard<T>> => {
      let nothing: CacheState | undefined;
      const onNothing = (state: CacheState) => {
        nothing = state;
        call?.onNothing?.(state);
      };
      try {
        const answer = await ask(source, { ...call, onNothing });
        return { source, answer, nothing, error: undefined };
      } catch (error) {
        return { source, answer: undefined, error: error ?? new Error('it failed') };
      }
    }),
  );
  call?.signal?.throwIfAborted();
  return heard;
}

/**
 * What all of them say together; undefined when all say that there is nothing. As fresh as the worst part of it. Of a
 * package of this server's own it is what those know who can tell: it is here, whoever is gone.
 *
 * @throws FeedUnavailableError when one of them couldn't tell: what it may have had would be missing
 */
export function complete<T, R>(heard: readonly Heard<T>[], merge: (values: readonly T[]) => R): Answer<R> | undefined {
  const failed = offering(heard).find(({ error }) => error !== undefined);
  const isOurs = heard.some(({ source, answer }) => source.isOwn === true && answer !== undefined);
  if (failed !== undefined && !isOurs) throw unavailable(failed.source.name, failed.error);
  return combined(heard, merge);
}

/**
 * What those who know say together; undefined when all say that there is nothing. As fresh as the worst part of it, and
 * stale when somebody who might have had more couldn't tell.
 *
 * @throws FeedUnavailableError when nobody knows, and somebody couldn't tell
 */
export function combined<T, R>(heard: readonly Heard<T>[], merge: (values: readonly T[]) => R): Answer<R> | undefined {
  const answers = heard.map(({ answer }) => answer).filter((answer) => answer !== undefined);
  const failed = offering(heard).find(({ error }) => error !== undefined);
  const [first] = answers;
  if (first === undefined) {
    if (failed === undefined) return undefined;
    throw unavailable(failed.source.name, failed.error);
  }
  let state: CacheState = failed === undefined ? first.state : 'stale';
  let { asOf } = first;
  for (const answer of answers) {
    state = worseOf(state, answer.state);
    asOf = Math.min(asOf, answer.asOf);
  }
  for (const { nothing } of heard) {
    if (nothing === undefined) continue;
    // How old that is, nobody told.
    if (nothing === 'stale') asOf = 0;
    state = worseOf(state, nothing);
  }
  return { value: merge(answers.map(({ value }) => value)), state, asOf };
}

/** Without those that have no such service, which NuGet's clients leave out, too; all where none has. */
function offering<T>(heard: readonly Heard<T>[]): readonly Heard<T>[] {
  const others = heard.filter(({ error }) => !isUnoffered(error));
  return others.length > 0 ? others : heard;
}
