/** Content codings that documents come in. */
export type Coding = 'br' | 'gzip' | 'identity';

/**
 * The coding that a client likes best (`Accept-Encoding`, RFC 9110, section 12.5.3): brotli before gzip, and either before
 * none, where it doesn't mind. Only what is named counts: `*` is how some clients say that they don't care, and they get
 * the bytes as they are.
 */
export function preferredCoding(header: string | undefined): Coding {
  if (header === undefined) return 'identity';
  const brotli = weightOf(header, 'br');
  const gzip = Math.max(weightOf(header, 'gzip'), weightOf(header, 'x-gzip'));
  if (Math.max(brotli, gzip) < weightOf(header, 'identity')) return 'identity';
  if (brotli > 0 && brotli >= gzip) return 'br';
  return gzip > 0 ? 'gzip' : 'identity';
}

/** The weight of one element of a list, 0 when it is not named. */
function weightOf(header: string, name: string): number {
  if (!header.includes(name) && !header.toLowerCase().includes(name)) return 0;
  for (const element of header.split(',')) {
    const [value, ...parameters] = element.split(';').map((part) => part.trim().toLowerCase());
    if (value !== name) continue;
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    const weight = quality === undefined ? 1 : Number(quality.slice(2));
    return Number.isFinite(weight) ? weight : 0;
  }
  return 0;
}
