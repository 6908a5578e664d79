import { NuGetVersion } from '@granary/nuget';
import { versionName } from '../feed/version-name.js';
import type { HostedPackage, HostedVersion } from './hosted-package.js';
import { type SearchText, words } from './search-text.js';

/** What is searched: the newest version that who searches may see. */
export interface Candidate {
  readonly version: HostedVersion;
  readonly text: SearchText;
}

/** How well a package fits, 0 when it doesn't. */
type Term = (pkg: HostedPackage, candidate: Candidate) => number;

/** More are not looked at: a query is a line that somebody types. */
const MAX_TERMS = 32;
const PIECES = /([a-z]+):"([^"]*)"|([a-z]+):(\S+)|"([^"]*)"|(\S+)/gi;
/** Signs before and behind a word, such as a quote without another one. */
const AROUND = /^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu;
/** Scripts that write words without spaces, and others that aren't searched by the beginnings of words. */
const NOT_ASCII = /[^ -~]/;

/**
 * What somebody searches for, as NuGet's galleries read it: words, all of which must be there, anywhere in the id or at the
 * beginning of a word of title, tags, authors, owners, summary or description; phrases in quotes; and words that only one
 * field may have: `packageid:` (the whole id; one of several), `id:`, `version:`, `title:`, `tag:`, `author:`, `owner:`,
 * `summary:`, `description:`, the plurals of these too. What begins like a field that there isn't is words.
 */
export class SearchQuery {
  readonly #terms: readonly Term[];
  readonly #ids: ReadonlySet<string>;
  readonly #whole: string;

  constructor(text: string) {
    const terms: Term[] = [];
    const ids = new Set<string>();
    for (const [piece, field1, quoted, field2, plain, phrase, word] of text.matchAll(PIECES)) {
      if (terms.length + ids.size >= MAX_TERMS) break;
      const field = (field1 ?? field2)?.toLowerCase();
      const value = quoted ?? plain ?? '';
      if (field === 'packageid') ids.add(value.toLowerCase());
      else terms.push((field && fieldTerm(field, value)) || anywhere(phrase ?? word ?? piece));
    }
    this.#terms = terms;
    this.#ids = ids;
    this.#whole = words(text);
  }

  /** How well a package fits, the more the better; 0 when it doesn't. */
  score(pkg: HostedPackage, candidate: Candidate): number {
    if (this.#ids.size > 0 && !this.#ids.has(pkg.key)) return 0;
    let score = pkg.words === this.#whole ? 64 : 1;
    for (const term of this.#terms) {
      const fit = term(pkg, candidate);
      if (fit === 0) return 0;
      score += fit;
    }
    return score;
  }
}

function anywhere(text: string): Term {
  const folded = words(text);
  // Only signs that no text is searched for.
  if (folded === '') return () => 1;
  const lower = text.toLowerCase().replace(AROUND, '');
  const start = NOT_ASCII.test(folded) ? folded.trim() : folded.trimEnd();
  return (pkg, { text: { title, tags, authors, owners, prose } }) => {
    if (pkg.key === lower || pkg.words === folded) return 64;
    if (pkg.key.startsWith(lower)) return 16;
    if (pkg.words.includes(start)) return 8;
    if (pkg.key.includes(lower)) return 6;
    if (title.includes(start)) return 4;
    if (tags.includes(start)) return 3;
    return authors.includes(start) || owners.includes(start) || prose.includes(start) ? 1 : 0;
  };
}

/** Undefined when there is no such field. */
function fieldTerm(field: string, value: string): Term | undefined {
  const lower = value.toLowerCase();
  const folded = words(value);
  const start = NOT_ASCII.test(folded) ? folded.trim() : folded.trimEnd();
  const inText = (pick: (text: SearchText) => string, sought: string): Term => {
    return (_, { text }) => (folded !== '' && pick(text).includes(sought) ? 1 : 0);
  };
  switch (field) {
    case 'id':
      return ({ key }) => (key.includes(lower) ? 1 : 0);
    case 'version': {
      const asked = NuGetVersion.tryParse(value);
      const version = asked && versionName(asked);
      return (_, candidate) => (candidate.version.version === version ? 1 : 0);
    }
    case 'title':
      return inText(({ title }) => title, start);
    case 'tag':
    case 'tags':
      return inText(({ tags }) => tags, folded);
    case 'author':
    case 'authors':
      return inText(({ authors }) => authors, folded);
    case 'owner':
    case 'owners':
      return inText(({ owners }) => owners, folded);
    case 'summary':
    case 'description':
      return inText(({ prose }) => prose, start);
    default:
      return undefined;
  }
}
