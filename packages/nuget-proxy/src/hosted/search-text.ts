import type { PackageRecord } from '../feed/package-record.js';

/** How much of each is searched, in UTF-16 units; what is beyond isn't found. */
const MAX = { title: 256, tags: 1000, people: 500, prose: 2000 } as const;

/**
 * What searches look at of a package, besides its id: words in lower case, each between spaces. At most 3.8 KB where all
 * characters are Latin ones, twice that otherwise; some 500 bytes for most packages.
 */
export interface SearchText {
  readonly title: string;
  readonly tags: string;
  readonly authors: string;
  readonly owners: string;
  readonly prose: string;
}

export function searchTextOf({
  title = '',
  tags,
  authors,
  owners,
  summary = '',
  description = '',
}: PackageRecord): SearchText {
  const isAuthors = owners.join() === authors.join();
  const people = words(authors.join(' '), MAX.people);
  return {
    title: words(title, MAX.title),
    tags: words(tags.join(' '), MAX.tags),
    authors: people,
    owners: isAuthors ? people : words(owners.join(' '), MAX.people),
    prose: words(description.includes(summary) ? description : `${summary} ${description}`, MAX.prose),
  };
}

/** A text's words in lower case with a space before and behind each, ` json net `; empty when it has none. */
export function words(text: string, maxLength = Number.POSITIVE_INFINITY): string {
  const folded = text
    .slice(0, maxLength)
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, ' ')
    .trim();
  // A copy of its own: a piece of a longer text would keep all of that in memory.
  return folded === '' ? '' : Buffer.from(` ${folded} `).toString();
}
