const SECONDS = /^\d+$/;
/** Dates of HTTP begin with a day; what else Date.parse takes, such as '-5', is none. */
const DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /;
const ZONE = /[A-Z]$|[+-]\d{4}$/;

/**
 * How long a `Retry-After` header asks to wait, in milliseconds: its seconds, or the time until its date, 0 when that is
 * over. Undefined when it says neither.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (SECONDS.test(text)) return Number(text) * 1000;
  // The oldest of the three forms of a date says no zone, and means GMT as the others do (RFC 9110, section 5.6.7).
  const at = DATE.test(text) ? Date.parse(ZONE.test(text) ? text : `${text} GMT`) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(at - nowMs, 0);
}
