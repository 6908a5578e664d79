import type { TestAnswer, TestServer } from '../../http/testing/test-server.js';

/** A document, and where it was found. */
export interface WalkedDocument {
  readonly url: string;
  /** URL of the document that leads to it. */
  readonly from: string;
  readonly answer: TestAnswer;
}

const MAX_DOCUMENTS = 5000;

/**
 * Everything that can be reached from some documents, each once: whatever URL stands in them, in JSON, Atom or HTML, and
 * what clients make of the resources of a service index.
 *
 * @param outward hosts that documents may lead to, and that are not asked
 */
export async function documentsOf(
  server: TestServer,
  roots: readonly string[],
  packages: readonly { readonly id: string; readonly version: string }[],
  outward: ReadonlySet<string>,
): Promise<readonly WalkedDocument[]> {
  const walked = new Map<string, WalkedDocument>();
  const waiting = roots.map((url) => ({ url, from: 'the beginning' }));
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const url = next.url.split('#', 1)[0] as string;
    if (walked.has(url) || outward.has(new URL(url).host)) continue;
    if (walked.size > MAX_DOCUMENTS) throw new Error(`there is no end: ${url}`);
    if (new URL(url).host !== server.host) throw new Error(`${next.from} leads to ${url}`);
    const answer = await server.ask(url.slice(url.indexOf('/', 'http://'.length)));
    walked.set(url, { url, from: next.from, answer });
    for (const found of urlsIn(url, answer, packages)) waiting.push({ url: found, from: url });
  }
  return [...walked.values()];
}

function urlsIn(url: string, answer: TestAnswer, packages: Parameters<typeof documentsOf>[2]): readonly string[] {
  const type = answer.headers['content-type'] ?? '';
  if (answer.status !== 200) return [];
  if (/\bjson\b/.test(type)) {
    const document: unknown = JSON.parse(answer.body.toString());
    return url.endsWith('/v3/index.json') ? resourcesOf(document, packages) : textsIn(document);
  }
  if (/\b(?:xml|html)\b/.test(type) && !url.endsWith('.nuspec')) return linksIn(url, answer.body.toString());
  return [];
}

/** What clients ask for when they find a resource, whatever type of the list it is. */
function resourcesOf(index: unknown, packages: Parameters<typeof documentsOf>[2]): readonly string[] {
  const { resources } = index as { readonly resources: readonly { '@id': string; '@type': string }[] };
  return resources.flatMap(({ '@id': id, '@type': type }) => {
    const [name = ''] = type.split('/');
    if (name === 'PackagePublish') return [];
    if (name === 'SearchQueryService' || name === 'SearchAutocompleteService') {
      return ['', '?semVerLevel=2.0.0&prerelease=true&take=1000', '?q=a&packageType=Dependency'].map(
        (query) => id + query,
      );
    }
    if (name === 'RegistrationsBaseUrl' || name === 'PackageBaseAddress') {
      return [...new Set(packages.map((pkg) => `${id}${encodeURIComponent(pkg.id.toLowerCase())}/index.json`))];
    }
    if (!id.includes('{')) return [id];
    return packages.map(({ id: name, version }) => {
      const values = { id: name, version, lower_id: name.toLowerCase(), lower_version: version.toLowerCase() };
      return Object.entries(values).reduce(
        (url, [hole, value]) => url.replace(`{${hole}}`, encodeURIComponent(value)),
        id,
      );
    });
  });
}

function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return /^https?:/i.test(value) ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  // Types are named by URLs that lead nowhere.
  return Object.entries(value).flatMap(([name, each]) => (name === '@type' ? [] : textsIn(each)));
}

/**
 * Of Atom and HTML: links as seen from their base, and all that looks like a URL. Feeds call themselves by the name of
 * their function, without what it was asked with.
 */
function linksIn(url: string, text: string): readonly string[] {
  const others = /<feed[\s>]/.test(text) ? text.replace(/<link [^>]*rel="self"[^>]*>|<id>[^<]*<\/id>/g, '') : text;
  const plain = others.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code)).replaceAll('&amp;', '&');
  const base = /xml:base="([^"]+)"/.exec(plain)?.[1] ?? url;
  const relative = Array.from(plain.matchAll(/\s(?:href|src)="([^"]+)"/g), ([, link = '']) => new URL(link, base).href);
  const absolute = Array.from(plain.matchAll(/(?<!xmlns(?::\w+)?=")\bhttps?:\/\/[^\s"<>]+/g), ([link]) => link);
  return [...relative, ...absolute];
}
