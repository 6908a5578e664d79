/** What images have where, of the types that browsers and IDEs show and that can't have scripts in them, as SVG can. */
const SIGNATURES: readonly (readonly [type: string, offset: number, signature: string])[] = [
  ['image/png', 0, '\x89PNG\r\n\x1a\n'],
  ['image/jpeg', 0, '\xff\xd8\xff'],
  ['image/gif', 0, 'GIF8'],
  ['image/webp', 8, 'WEBP'],
  ['image/x-icon', 0, '\0\0\x01\0'],
];

/** The media type of an image, by its first bytes: names and headers say what they like. */
export function imageType(bytes: Buffer): string | undefined {
  const beginning = bytes.toString('latin1', 0, 16);
  return SIGNATURES.find(([, offset, signature]) => beginning.startsWith(signature, offset))?.[0];
}
