const SECONDS = /^\d+$/;

/**
 * How long a `Retry-After` header asks to wait, in milliseconds: its seconds, or the time until its date, 0 when that is
 * over. Undefined when it says neither.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (SECONDS.test(text)) return Number(text) * 1000;
  // Dates of HTTP begin with the name of a day; what else Date.parse takes, such as '-5', is no date here.
  const at = /^[A-Z][a-z]+,? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(at - nowMs, 0);
}
