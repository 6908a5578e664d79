const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Longest duration that a timer can wait (2^31 − 1 ms), a little under 25 days. */
const MAX_MS = 2 ** 31 - 1;

/** What a duration may be that is not 0, for error messages. */
export const TIME_ALLOWED = 'numbers with ms, s, m, h or d, the larger unit first, up to 24 days, such as 30s or 1h30m';
export const DURATION_ALLOWED = `${TIME_ALLOWED}; or 0`;

/** Milliseconds from a duration such as `30s`, `250ms` or `1h30m`; undefined when the text is none or is too long. */
export function parseDuration(text: string | number): number | undefined {
  const trimmed = String(text).trim();
  if (trimmed === '0') return 0;
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(trimmed)) return undefined;
  let total = 0;
  let previousUnit = Number.POSITIVE_INFINITY;
  for (const [, count, name] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    const unit = UNITS[name as string] as number;
    // Units that don't get smaller are a slip of the pen ("30s1h", "5m5m"), not a sum that somebody wanted.
    if (unit >= previousUnit) return undefined;
    previousUnit = unit;
    total += Number(count) * unit;
  }
  return total <= MAX_MS ? Math.round(total) : undefined;
}
