/** What is known of a representation, to compare with what a client has. */
export interface Validators {
  /** Strong, with its quotes. */
  readonly etag: string | undefined;
  readonly lastModified?: Date | undefined;
}

interface ConditionalHeaders {
  readonly 'if-none-match'?: string | undefined;
  readonly 'if-modified-since'?: string | undefined;
  readonly 'if-range'?: string | undefined;
  readonly 'if-match'?: string | undefined;
  readonly 'if-unmodified-since'?: string | undefined;
}

/** Whether the client wants only a representation that this isn't any more (RFC 9110, sections 13.1.1 and 13.1.4). */
export function isAnother(headers: ConditionalHeaders, { etag, lastModified }: Validators): boolean {
  const tags = headers['if-match'];
  // Tags that are weak never match, and something is there, whatever its tag will be.
  if (tags !== undefined) return !listOf(tags).some((tag) => tag === '*' || tag === etag);
  const since = headers['if-unmodified-since'];
  if (since === undefined || lastModified === undefined) return false;
  return wholeSeconds(lastModified) > Date.parse(since);
}

/** Whether the client has this representation already (RFC 9110, section 13.2.2). Dates count only without tags. */
export function isUnmodified(headers: ConditionalHeaders, { etag, lastModified }: Validators): boolean {
  const tags = headers['if-none-match'];
  if (tags !== undefined) return etag !== undefined && namesTag(tags, etag);
  const since = headers['if-modified-since'];
  if (since === undefined || lastModified === undefined) return false;
  return wholeSeconds(lastModified) <= Date.parse(since);
}

/** Whether a range is wanted of just this representation; without `If-Range` it always is (section 13.1.5). */
export function wantsRangeOf(headers: ConditionalHeaders, { etag, lastModified }: Validators): boolean {
  const condition = headers['if-range']?.trim();
  if (condition === undefined) return true;
  if (condition.endsWith('"')) return condition === etag;
  return lastModified !== undefined && wholeSeconds(lastModified) === Date.parse(condition);
}

function namesTag(list: string, etag: string): boolean {
  const tags = listOf(list);
  return tags.includes('*') || tags.includes(etag) || tags.includes(`W/${etag}`);
}

const listOf = (header: string): string[] => header.split(',').map((tag) => tag.trim());

/** Dates in headers have no milliseconds. */
const wholeSeconds = (date: Date): number => Math.floor(date.getTime() / 1000) * 1000;
