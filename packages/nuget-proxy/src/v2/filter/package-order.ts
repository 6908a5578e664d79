import { NuGetVersion } from '@granary/nuget';
import type { FeedUrls } from '../../http/feed-urls.js';
import { HttpError } from '../../http/http-error.js';
import { packageProperty } from '../documents/package-properties.js';
import type { PackageEntry } from '../lists/package-history.js';
import { orderOf } from './package-filter.js';

const MAX_KEYS = 8;

/** Compares packages, as `Array.sort` wants it. */
export type PackageOrder = (a: PackageEntry, b: PackageEntry) => number;

/**
 * Reads an order (OData 2, `$orderby`): `Id`, `DownloadCount desc,Id`. What isn't there comes first.
 *
 * @throws HttpError 400
 */
export function parseOrder(text: string, urls: FeedUrls): PackageOrder {
  const keys = text.split(',', MAX_KEYS + 1).map((key) => keyOf(key.trim(), urls));
  if (keys.length > MAX_KEYS) throw new HttpError(400, `an order has at most ${MAX_KEYS} parts`);
  return (a, b) => {
    for (const compare of keys) {
      const order = compare(a, b);
      if (order !== 0) return order;
    }
    return 0;
  };
}

function keyOf(text: string, urls: FeedUrls): PackageOrder {
  const [name = '', direction = 'asc', ...more] = text.split(/\s+/);
  const property = packageProperty(name);
  if (property === undefined || more.length > 0 || !/^(?:asc|desc)$/i.test(direction)) {
    throw new HttpError(400, `no order: ${text.slice(0, 40)}`);
  }
  const sign = direction.toLowerCase() === 'desc' ? -1 : 1;
  if (property.name === 'Version' || property.name === 'NormalizedVersion') {
    return (a, b) => sign * NuGetVersion.compare(a.version, b.version);
  }
  return (a, b) => {
    const [x, y] = [property.read(a, urls) ?? '', property.read(b, urls) ?? ''];
    return sign * orderOf(lower(x), lower(y));
  };
}

function lower(value: string | number | boolean): string | number | boolean {
  return typeof value === 'string' ? value.toLowerCase() : value;
}
