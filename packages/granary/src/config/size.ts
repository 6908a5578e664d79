const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

export const SIZE_ALLOWED =
  'a number of bytes, or a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 20GiB';

/**
 * Bytes from a size such as `20GiB`, `1.5GB` or `4096`; undefined when the text is no size, is negative, or passes
 * 2^53 − 1. Fractions of a byte are cut off.
 */
export function parseSize(text: string | number): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)?$/.exec(String(text).trim());
  if (!match) return undefined;
  const unit = match[2] === undefined ? 1 : UNITS[match[2]];
  if (unit === undefined || (unit === 1 && match[1]?.includes('.'))) return undefined;
  const bytes = Math.floor(Number(match[1]) * unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** A size for people: in the largest binary unit that leaves at least 1, with one decimal where it is not whole. */
export function formatSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const count = bytes / (UNITS[unit] as number);
    if (count >= 1) return `${Number(count.toFixed(1))} ${unit}`;
  }
  return `${bytes} B`;
}
