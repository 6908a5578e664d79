const ESCAPE = /_[xX](?:([0-9A-Fa-f]{8})|([0-9A-Fa-f]{4}))_/g;

/**
 * Letters that names may have for .NET, which reads XML 1.0 in its fourth edition (appendix B) and refuses the whole file
 * for any other. These are the scripts of most names; the rest is escaped, which is understood of any character.
 */
const LATIN =
  'A-Z_a-z\\u00C0-\\u00D6\\u00D8-\\u00F6\\u00F8-\\u0131\\u0134-\\u013E\\u0141-\\u0148\\u014A-\\u017E\\u1EA0-\\u1EF9';
const GREEK_AND_CYRILLIC = '\\u038E-\\u03A1\\u03A3-\\u03CE\\u0401-\\u040C\\u040E-\\u044F\\u0451-\\u045C';
const SEMITIC = '\\u05D0-\\u05EA\\u0621-\\u063A';
const EAST_ASIAN = '\\u3041-\\u3094\\u30A1-\\u30FA\\u4E00-\\u9FA5\\uAC00-\\uD7A3';
const LETTERS = LATIN + GREEK_AND_CYRILLIC + SEMITIC + EAST_ASIAN;
const NAME_START = new RegExp(`[${LETTERS}]`, 'u');
const NAME_CHARACTER = new RegExp(`[${LETTERS}0-9.\\-\\u00B7]`, 'u');

/** A text as the name of an element, escaped as .NET does it: `My Feed` is `My_x0020_Feed`. */
export function encodeXmlName(text: string): string {
  let name = '';
  for (let i = 0; i < text.length; ) {
    const character = String.fromCodePoint(text.codePointAt(i) as number);
    const isEscape = character === '_' && /^_[xX][0-9A-Fa-f]{4}(?:[0-9A-Fa-f]{4})?_/.test(text.slice(i));
    const fits = (i === 0 ? NAME_START : NAME_CHARACTER).test(character);
    name += fits && !isEscape ? character : escapeCharacter(character);
    i += character.length;
  }
  return name;
}

/** What {@link encodeXmlName} made a name of. */
export function decodeXmlName(name: string): string {
  return name.replace(ESCAPE, (whole, long: string | undefined, short: string | undefined) => {
    const code = Number.parseInt(long ?? (short as string), 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) as number;
  return `_x${code
    .toString(16)
    .toUpperCase()
    .padStart(code > 0xffff ? 8 : 4, '0')}_`;
}
