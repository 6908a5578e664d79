import { TextDecoder } from 'node:util';
import { NuGetError } from '../errors.js';

const DECLARATION = /^<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.-]*)["']/;
const DECLARATION_LENGTH = 1024;

/**
 * The text of an XML document: by its byte order mark, or by the encoding that it declares, or as UTF-8.
 *
 * @throws {@link NuGetError} `INVALID_PACKAGE` for bytes that are none in that encoding
 */
export function decodeXml(bytes: Uint8Array): string {
  const encoding = encodingOf(bytes);
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(encoding, { fatal: true });
  } catch {
    throw new NuGetError('INVALID_PACKAGE', `the nuspec declares the encoding ${encoding}, which isn't known`);
  }
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new NuGetError('INVALID_PACKAGE', `the nuspec is not valid ${encoding}`, { cause: error });
  }
}

function encodingOf(bytes: Uint8Array): string {
  const [a, b, c] = bytes;
  if (a === 0xef && b === 0xbb && c === 0xbf) return 'utf-8';
  if (a === 0xff && b === 0xfe) return 'utf-16le';
  if (a === 0xfe && b === 0xff) return 'utf-16be';
  if (a === 0x3c && b === 0) return 'utf-16le';
  if (a === 0 && b === 0x3c) return 'utf-16be';
  const declared = DECLARATION.exec(Buffer.from(bytes.subarray(0, DECLARATION_LENGTH)).toString('latin1'))?.[1];
  if (declared === undefined) return 'utf-8';
  if (/^(?:utf-?16|ucs-2|unicode|iso-10646-ucs-2)/i.test(declared)) {
    throw new NuGetError('INVALID_PACKAGE', `the nuspec declares the encoding ${declared}, and is something else`);
  }
  return declared;
}
