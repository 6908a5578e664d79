/** Content codings that documents come in. */
export type Coding = 'br' | 'gzip' | 'identity';

/**
 * The coding that a client likes best (`Accept-Encoding`, RFC 9110, section 12.5.3): brotli before gzip, and either before
 * none, where it doesn't mind. Only what is named counts: `*` is how some clients say that they don't care, and they get
 * the bytes as they are, unless they refuse just that.
 */
export function preferredCoding(header: string | undefined): Coding {
  if (header === undefined) return 'identity';
  const identity = weightOf(header, 'identity');
  const unnamed = identity === 0 ? (weightOf(header, '*') ?? 0) : 0;
  const brotli = weightOf(header, 'br') ?? unnamed;
  const gzip = weightOf(header, 'gzip') ?? weightOf(header, 'x-gzip') ?? unnamed;
  if (Math.max(brotli, gzip) < (identity ?? 0)) return 'identity';
  if (brotli > 0 && brotli >= gzip) return 'br';
  return gzip > 0 ? 'gzip' : 'identity';
}

/** The weight of one element of a list, undefined when it is not named. */
function weightOf(header: string, name: string): number | undefined {
  if (!header.includes(name) && !header.toLowerCase().includes(name)) return undefined;
  for (const element of header.split(',')) {
    const [value, ...parameters] = element.split(';').map((part) => part.trim().toLowerCase());
    if (value !== name) continue;
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    const weight = quality === undefined ? 1 : Number(quality.slice(2));
    return Number.isFinite(weight) ? weight : 0;
  }
  return undefined;
}
