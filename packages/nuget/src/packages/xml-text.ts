import { isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';
import { NuGetError, type NuGetErrorCode } from '../errors.js';

const DECLARATION = /^<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.-]*)["']/;
const DECLARATION_LENGTH = 1024;
const UTF8 = /^utf-?8$/i;

// Some versions of Node decode windows-1252 as ISO 8859-1, which has control characters where that has these.
const WINDOWS_1252 = /^(?:windows-|x-cp|cp)1252$/i;
const WINDOWS_1252_C1 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';
const C1 = /[\u0080-\u009f]/g;

/** What an XML document is called in errors, and their code. */
export interface DocumentKind {
  readonly name: string;
  readonly code: NuGetErrorCode;
}

export const NUSPEC: DocumentKind = { name: 'the nuspec', code: 'INVALID_PACKAGE' };

/**
 * The text of an XML document: by its byte order mark, or by the encoding that it declares, or as UTF-8.
 *
 * @throws {@link NuGetError} with the kind's code, for bytes that are none in that encoding
 */
export function decodeXml(bytes: Uint8Array, kind = NUSPEC): string {
  const { name, code } = kind;
  const encoding = encodingOf(bytes, kind);
  // What nearly all of them are: making a decoder for each takes longer than to decode.
  if (UTF8.test(encoding) && isUtf8(bytes)) return asBuffer(bytes).toString('utf8', isMarked(bytes) ? 3 : 0);
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(encoding, { fatal: true });
  } catch {
    throw new NuGetError(code, `${name} declares the encoding ${encoding}, which isn't known`);
  }
  try {
    const text = decoder.decode(bytes);
    return WINDOWS_1252.test(encoding) ? text.replace(C1, (c) => WINDOWS_1252_C1[c.charCodeAt(0) - 0x80] ?? c) : text;
  } catch (error) {
    throw new NuGetError(code, `${name} is not valid ${encoding}`, { cause: error });
  }
}

function encodingOf(bytes: Uint8Array, { name, code }: DocumentKind): string {
  const a = bytes[0];
  const b = bytes[1];
  if (isMarked(bytes)) return 'utf-8';
  if (a === 0xff && b === 0xfe) return 'utf-16le';
  if (a === 0xfe && b === 0xff) return 'utf-16be';
  if (a === 0x3c && b === 0) return 'utf-16le';
  if (a === 0 && b === 0x3c) return 'utf-16be';
  const declared = DECLARATION.exec(asBuffer(bytes).toString('latin1', 0, DECLARATION_LENGTH))?.[1];
  if (declared === undefined) return 'utf-8';
  if (/^(?:utf-?16|ucs-2|unicode|iso-10646-ucs-2)/i.test(declared)) {
    throw new NuGetError(code, `${name} declares the encoding ${declared}, and is something else`);
  }
  return declared;
}

const isMarked = (bytes: Uint8Array): boolean => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
