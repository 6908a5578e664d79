import type { Answer } from '../feed/feed-content.js';

const GROWTH = 4;

/** What a source gave of a search, from its start on. */
export interface Given {
  readonly all: number;
  /** How many of them may come from that source. */
  readonly wanted: number;
}

/**
 * Asks a source for more where so much of what it gives may not come from it that less is left than one page of several
 * sources may show. Otherwise what such a page has would depend on where it ends: the next one would have some of it again,
 * and others would be on none.
 *
 * @param least how many are wanted
 * @param most how many may be asked for
 * @param givenBy undefined when that is all that the source has
 */
export async function askPast<T>(
  { least, most }: { readonly least: number; readonly most: number },
  ask: (take: number) => Promise<Answer<T>>,
  givenBy: (value: T) => Given | undefined,
): Promise<Answer<T>> {
  let before = 0;
  for (let take = least; ; take = Math.min(GROWTH * take, most)) {
    const answer = await ask(take);
    const given = givenBy(answer.value);
    if (given === undefined || given.wanted >= least || given.wanted === given.all) return answer;
    // A source may have a bound of its own.
    if (take >= most || given.all <= before) return answer;
    before = given.all;
  }
}
