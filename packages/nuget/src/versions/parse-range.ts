import { FloatRange } from './float-range.js';
import { NuGetVersion } from './nuget-version.js';
import type { VersionBounds } from './version-range.js';

/** Longest text that is looked at: two versions and what stands around them. */
const MAX_LENGTH = 4096;

/** The bounds that a text says; undefined when it says none, or some that leave no room for any version. */
export function parseRange(text: string): VersionBounds | undefined {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return undefined;
  const trimmed = text.trim();
  const isInterval = trimmed.startsWith('[') || trimmed.startsWith('(');
  return isInterval ? parseInterval(trimmed) : parseMin(trimmed);
}

function parseInterval(text: string): VersionBounds | undefined {
  const isMinInclusive = text.startsWith('[');
  const isMaxInclusive = text.endsWith(']');
  if (text.length < 2 || !(isMaxInclusive || text.endsWith(')'))) return undefined;
  const parts = text.slice(1, -1).split(',');
  const [min = '', max = min] = parts;
  if (parts.length > 2) return undefined;
  if (parts.length === 1 && !(isMinInclusive && isMaxInclusive && min.trim() !== '')) return undefined;
  // All versions are written as `(, )`, with a space, and `(,)` is an error.
  if (min === '' && max === '') return undefined;

  const lower = min.trim() === '' ? {} : parseMin(min);
  const maxVersion = max.trim() === '' ? undefined : NuGetVersion.tryParse(max);
  if (lower === undefined || (maxVersion === undefined && max.trim() !== '')) return undefined;
  const { minVersion } = lower;
  if (minVersion !== undefined && maxVersion !== undefined) {
    const order = NuGetVersion.compare(minVersion, maxVersion);
    if (order > 0 || (order === 0 && !(isMinInclusive && isMaxInclusive))) return undefined;
  }
  return { ...lower, isMinInclusive, maxVersion, isMaxInclusive };
}

/** A lower bound, which may float. */
function parseMin(text: string): VersionBounds | undefined {
  if (text.includes('*')) return FloatRange.tryParse(text);
  const minVersion = NuGetVersion.tryParse(text);
  return minVersion && { minVersion };
}
