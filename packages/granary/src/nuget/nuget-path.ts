import type { IncomingMessage } from 'node:http';

/** What the folder of the feeds is called. */
export const NUGET_PREFIX = '/nuget';

/** `/nuget/v3/…` and `/nuget/SOURCE/v3/…`, of both protocols: `nuget` may be an instance of the Bazel cache, too. */
const FEED_PATH = /^\/nuget\/+(?:[^/?]+\/+)?v[23](?:[/?]|$)/;
/** Where somebody looks for the feeds. */
const FOLDER = /^\/nuget\/?(?:\?|$)/;
/** Where clients push to that take something else for the URL of a feed: a source's folder, or the bare host. */
const PUSH_PATH = /^(?:\/nuget\/[^/?]+|\/api\/v2\/package)\/?(?:\?|$)/i;
/** Where they delete. Caches of compilers delete what is below `ac` and `cas`. */
const DELETE_PATH = /^\/(?:nuget\/(?:[^/?]+\/)?(?!(?:ac|cas)\/)|api\/v2\/package\/)[^/?]+\/[^/?]+\/?(?:\?|$)/i;

/** Whether a request is for a feed, by its URL as it was sent. */
export function isNuGetRequest({ method, url = '' }: Pick<IncomingMessage, 'method' | 'url'>): boolean {
  if (url.startsWith(NUGET_PREFIX) && (FEED_PATH.test(url) || FOLDER.test(url))) return true;
  if (method === 'PUT') return PUSH_PATH.test(url);
  return (method === 'DELETE' || method === 'POST') && DELETE_PATH.test(url);
}
