/**
 * Lengths in bits of the Huffman codes of the bytes 0 to 255 and of the end of a string (RFC 7541, appendix B). The
 * codes are canonical, so the lengths say everything: each is the next free one of its length.
 */
// biome-ignore format: sixteen a row can be compared with the appendix
const CODE_LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const END = 256;
const MAX_PADDING_BITS = 7;

/** Symbols by their code with a 1 in front, which keeps codes of different lengths apart. */
let symbols: ReadonlyMap<number, number> | undefined;

function symbolsByCode(): ReadonlyMap<number, number> {
  const map = new Map<number, number>();
  let code = 0;
  for (let length = 1; length <= 30; length++) {
    for (const [symbol, itsLength] of CODE_LENGTHS.entries()) {
      if (itsLength === length) map.set(2 ** length + code++, symbol);
    }
    code *= 2;
  }
  return map;
}

/** Decodes a string; undefined when it holds the end symbol or its padding is not the beginning of it. */
export function decodeHuffman(bytes: Uint8Array): Buffer | undefined {
  symbols ??= symbolsByCode();
  const decoded: number[] = [];
  let code = 1;
  let bits = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1);
      bits++;
      const symbol = symbols.get(code);
      if (symbol === undefined) {
        if (bits >= 30) return undefined;
        continue;
      }
      if (symbol === END) return undefined;
      decoded.push(symbol);
      code = 1;
      bits = 0;
    }
  }
  return bits <= MAX_PADDING_BITS && code === 2 ** (bits + 1) - 1 ? Buffer.from(decoded) : undefined;
}
