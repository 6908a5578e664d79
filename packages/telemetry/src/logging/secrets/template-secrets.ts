import { findSecrets, isSuspicious, type Range, REDACTED } from './redaction.js';

/** Stands for a value: no text that is looked for has it, but each that is hidden may. */
const SAMPLE = 'x0x0x0x0x0';

/**
 * Which parts of a template are holes for secrets (`Authorization: {Header}`), judged by what would be hidden if there
 * were a text in each of them.
 */
export function secretHoles(parts: readonly (string | object)[]): Set<number> {
  const holes = new Map<number, Range>();
  let text = '';
  for (const [i, part] of parts.entries()) {
    const start = text.length;
    text += typeof part === 'string' ? part : SAMPLE;
    if (typeof part !== 'string') holes.set(i, { start, end: text.length });
  }
  const secret = new Set<number>();
  if (!isSuspicious(text)) return secret;
  for (const found of findSecrets(text)) {
    for (const [i, hole] of holes) {
      // A header's value reaches to the end of the line, but what comes after its first words is said about it.
      const between = text.slice(found.start, hole.start);
      if (overlap(found, hole) && !/\S\s+\S+\s/.test(between)) secret.add(i);
    }
  }
  return secret;
}

/** A template's text without what is written out in it, while its holes stay: they give nothing away. */
export function redactTemplate(text: string, holes: readonly Range[]): string {
  if (!isSuspicious(text)) return text;
  const masked = replaceRanges(
    text,
    holes.map((range) => ({ ...range, by: REDACTED })),
  );
  const hidden = findSecrets(masked);
  if (hidden.length === 0) return text;
  let moved = 0;
  const tokens = holes.map(({ start, end }) => {
    const token = { start: start + moved, end: start + moved + REDACTED.length, by: text.slice(start, end) };
    moved += REDACTED.length - (end - start);
    return token;
  });
  const kept = tokens.filter((token) => !hidden.some((range) => overlap(range, token)));
  const all = [...kept, ...hidden.map((range) => ({ ...range, by: REDACTED }))];
  return replaceRanges(
    masked,
    all.sort((a, b) => a.start - b.start),
  );
}

/** @param ranges in order, apart from each other */
function replaceRanges(text: string, ranges: readonly (Range & { readonly by: string })[]): string {
  let result = '';
  let end = 0;
  for (const range of ranges) {
    result += text.slice(end, range.start) + range.by;
    end = range.end;
  }
  return result + text.slice(end);
}

export function overlap(a: Range, b: Range): boolean {
  return a.start < b.end && b.start < a.end;
}
