import type { FeedContent } from '../feed/feed-content.js';
import type { DocumentInit } from '../http/answers/document-answer.js';
import type { Exchange } from '../http/exchange.js';
import type { FeedUrls } from '../http/feed-urls.js';

/** Something that is asked of a feed: a request, or one of several in it. */
export interface V2Request {
  readonly exchange: Exchange;
  readonly feed: FeedContent;
  /** Where the feed is as the client sees it. */
  readonly urls: FeedUrls;
  readonly query: URLSearchParams;
  /** Answers with a document. */
  readonly send: <T extends object>(document: DocumentInit<T>) => void | Promise<void>;
}
