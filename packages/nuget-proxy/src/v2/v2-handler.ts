import type { FeedContent } from '../feed/feed-content.js';
import type { Exchange } from '../http/exchange.js';
import type { FeedUrls } from '../http/feed-urls.js';
import { HttpError } from '../http/http-error.js';

/** Everything of protocol 2; not there yet. */
export async function handleV2(_exchange: Exchange, _feed: FeedContent, _urls: FeedUrls, path: string): Promise<void> {
  throw new HttpError(501, `protocol 2 isn't served yet: ${path}`);
}
