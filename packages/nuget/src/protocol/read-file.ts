import type { Feed } from './feed.js';
import type { FileOptions } from './provider.js';

const DEFAULT_MAX_FILE_BYTES = 4 * 1024 * 1024;

/** A file that belongs to a package, as it is; undefined when it isn't there. Never kept: who wants it once rarely wants it again. */
export function readFile(feed: Feed, url: string, options: FileOptions = {}): Promise<Buffer | undefined> {
  const { maxBytes = DEFAULT_MAX_FILE_BYTES } = options;
  return feed.document(url, { ...options, cacheKey: undefined, accept: '*/*', maxBytes, parse: (body) => body });
}
