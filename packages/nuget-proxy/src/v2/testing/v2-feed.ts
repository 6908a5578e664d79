import type { TestServer } from '../../http/testing/test-server.js';

/** A page of a feed as text. */
export interface FeedPage {
  readonly text: string;
  /** `id version`, in the page's order. */
  readonly packages: readonly string[];
  readonly count: number | undefined;
  /** The path and query of the next page. */
  readonly next: string | undefined;
}

const ENTITIES: Readonly<Record<string, string>> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"' };

/** Asks for a page of a server's feed of all sources, below `v2/`. */
export async function pageAt(server: TestServer, path: string): Promise<FeedPage> {
  return await page(server, `/nuget/v2/${path}`);
}

/** All pages of a list, by following their links. */
export async function pagesAt(server: TestServer, path: string, maxPages = 100): Promise<readonly FeedPage[]> {
  const pages = [await pageAt(server, path)];
  for (let next = pages[0]?.next; next !== undefined; next = pages.at(-1)?.next) {
    if (pages.length === maxPages) throw new Error(`${path} has more than ${maxPages} pages`);
    pages.push(await page(server, next));
  }
  return pages;
}

async function page(server: TestServer, target: string): Promise<FeedPage> {
  const { status, body } = await server.ask(target.replaceAll(' ', '%20'));
  const text = body.toString();
  if (status !== 200) throw new Error(`${target} answered ${status}: ${text}`);
  const found = text.matchAll(/<d:Id>([^<]*)<\/d:Id><d:Version>([^<]*)</g);
  const count = /<m:count>(\d+)</.exec(text)?.[1];
  const href = /<link rel="next" href="([^"]*)"/.exec(text)?.[1];
  const next = href?.replace(/&\w+;/g, (entity) => ENTITIES[entity] ?? entity);
  if (next !== undefined && !next.startsWith(server.url)) throw new Error(`${target} leads to ${next}`);
  return {
    text,
    packages: Array.from(found, ([, id, version]) => `${id} ${version}`),
    count: count === undefined ? undefined : Number(count),
    next: next?.slice(server.url.length - '/nuget'.length),
  };
}
