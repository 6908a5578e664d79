const ESCAPE = /_[xX](?:([0-9A-Fa-f]{8})|([0-9A-Fa-f]{4}))_/g;
const NAME_START = /[\p{L}_]/u;
const NAME_CHARACTER = /[\p{L}\p{M}\p{N}_.\-·]/u;

/** A text as the name of an element, the way .NET writes it: `My Feed` is `My_x0020_Feed`. */
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
