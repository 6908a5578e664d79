const RANGE = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i;

export interface ContentRange {
  readonly first: number;
  readonly last: number;
  /** Of the whole; undefined where the server doesn't say. */
  readonly size: number | undefined;
}

/** Parses a `Content-Range` header of a part in bytes; undefined when it is none. */
export function parseContentRange(value: string | undefined): ContentRange | undefined {
  const match = RANGE.exec(value?.trim() ?? '');
  if (!match) return undefined;
  const [, first, last, size] = match;
  const range = { first: Number(first), last: Number(last), size: size === '*' ? undefined : Number(size) };
  return range.first <= range.last && (range.size === undefined || range.last < range.size) ? range : undefined;
}

const LENGTH = /^\d{1,15}$/;

/** Parses a `Content-Length` header; undefined when there is none that makes sense. */
export function parseLength(value: string | undefined): number | undefined {
  return value !== undefined && LENGTH.test(value) ? Number(value) : undefined;
}
