import { NuGetVersion } from '@granary/nuget';
import type { FeedUrls } from '../../http/feed-urls.js';
import { HttpError } from '../../http/http-error.js';
import { type PackageProperty, packageProperty } from '../documents/package-properties.js';
import type { PackageEntry } from '../lists/package-history.js';
import { orderOf } from './package-filter.js';

const MAX_KEYS = 8;
/** A property, or two that are joined, as Visual Studio sorts by names; how; and whether another key follows. */
const KEY = /\s*(?:concat\(\s*(\w+)\s*,\s*(\w+)\s*\)|(\w+))(?:\s+(asc|desc))?\s*(,|$)/iy;

/** Compares packages, as `Array.sort` wants it. */
export type PackageOrder = (a: PackageEntry, b: PackageEntry) => number;

/**
 * Reads an order (OData 2, `$orderby`): `Id`, `DownloadCount desc,concat(Title,Id)`. What isn't there comes first.
 *
 * @throws HttpError 400
 */
export function parseOrder(text: string, urls: FeedUrls): PackageOrder {
  const keys: PackageOrder[] = [];
  KEY.lastIndex = 0;
  for (let isMore = true; isMore; ) {
    const at = KEY.lastIndex;
    const [, first, second, only, direction, end] = KEY.exec(text) ?? [];
    const names = [first ?? only ?? '', ...(second === undefined ? [] : [second])];
    const properties = names.flatMap((name) => packageProperty(name) ?? []);
    if (properties.length < names.length) throw new HttpError(400, `no order: ${text.slice(at, at + 40).trim()}`);
    if (keys.push(keyOf(properties, direction, urls)) > MAX_KEYS) {
      throw new HttpError(400, `an order has at most ${MAX_KEYS} parts`);
    }
    isMore = end === ',';
  }
  return (a, b) => {
    for (const compare of keys) {
      const order = compare(a, b);
      if (order !== 0) return order;
    }
    return 0;
  };
}

/** Versions are compared as such, and what is joined as the text that it makes. */
function keyOf(properties: readonly PackageProperty[], direction: string | undefined, urls: FeedUrls): PackageOrder {
  const sign = direction?.toLowerCase() === 'desc' ? -1 : 1;
  const [{ name } = {}, ...others] = properties;
  if (others.length === 0 && (name === 'Version' || name === 'NormalizedVersion')) {
    return (a, b) => sign * NuGetVersion.compare(a.version, b.version);
  }
  const read = (entry: PackageEntry) => {
    const values = properties.map((property) => property.read(entry, urls) ?? '');
    const [value = ''] = values.length === 1 ? values : [values.join('')];
    return typeof value === 'string' ? value.toLowerCase() : value;
  };
  return (a, b) => sign * orderOf(read(a), read(b));
}
