/**
 * Whether a client takes a content coding, and would not rather have the bytes as they are (`Accept-Encoding`, RFC 9110,
 * section 12.5.3). Only what is named counts: `*` is how some clients say that they don't care, and they get the bytes
 * as they are.
 */
export function acceptsCoding(header: string | string[] | undefined, coding: string): boolean {
  if (header === undefined) return false;
  const weight = weightOf(String(header), coding);
  return weight > 0 && weight >= weightOf(String(header), 'identity');
}

/** Whether a client asks for a media type by name, and for no other more urgently (`Accept`, RFC 9110, 12.5.1). */
export function prefersType(header: string | undefined, type: string): boolean {
  if (header === undefined) return false;
  const wanted = weightOf(header, type);
  return wanted > 0 && wanted >= weightOf(header, 'application/octet-stream');
}

/** The weight of one element of a list, 0 when it is not named. */
function weightOf(header: string, name: string): number {
  for (const element of header.split(',')) {
    const [value, ...parameters] = element.split(';').map((part) => part.trim().toLowerCase());
    if (value !== name) continue;
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    const weight = quality === undefined ? 1 : Number(quality.slice(2));
    return Number.isFinite(weight) ? weight : 0;
  }
  return 0;
}
