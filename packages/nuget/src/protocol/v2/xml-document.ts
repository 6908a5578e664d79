import { SaxesParser, type SaxesTagNS } from 'saxes';
import { isNuGetError, SourceError } from '../../errors.js';
import { shownUrl } from '../endpoint-url.js';

/** Where a document comes from, for errors. */
export interface DocumentOrigin {
  /** Name of the source. */
  readonly source: string;
  readonly url: string;
}

/** What follows a document while it is read. */
export interface XmlHandler {
  open(element: SaxesTagNS): void;
  text(text: string): void;
  close(): void;
}

/** Feeds nest five elements, `$metadata` seven. */
const MAX_DEPTH = 64;
const CHUNK_BYTES = 64 * 1024;

/**
 * Reads a document from its first to its last byte without a tree of it. Entities other than XML's own five and
 * document types are refused, so nothing in a document can expand or refer to something outside of it.
 *
 * @throws {@link SourceError} `PROTOCOL` for what is no XML, `LIMIT` for what nests too deep
 */
export function readXml(body: Buffer, origin: DocumentOrigin, handler: XmlHandler): void {
  const parser = new SaxesParser({ xmlns: true, position: false });
  let depth = 0;
  parser.on('doctype', (doctype) => {
    throw notXml(origin, /^\s*html\b/i.test(doctype) ? 'it is an HTML page' : 'it has a document type');
  });
  parser.on('opentag', (element) => {
    if (++depth > MAX_DEPTH) throw tooMuch(origin, `nests more than ${MAX_DEPTH} elements`);
    handler.open(element);
  });
  parser.on('text', (text) => handler.text(text));
  parser.on('cdata', (text) => handler.text(text));
  parser.on('closetag', () => {
    depth--;
    handler.close();
  });
  try {
    const decoder = new TextDecoder(encodingOf(body), { fatal: true });
    for (let start = 0; start < body.length; start += CHUNK_BYTES) {
      parser.write(decoder.decode(body.subarray(start, start + CHUNK_BYTES), { stream: true }));
    }
    parser.write(decoder.decode()).close();
  } catch (error) {
    if (isNuGetError(error)) throw error;
    throw notXml(origin, (error as Error).message, error);
  }
}

/** The byte order mark decides, or how the first character is written, then what the declaration says. */
function encodingOf(body: Buffer): string {
  if (body[0] === 0xfe && body[1] === 0xff) return 'utf-16be';
  if (body[0] === 0xff && body[1] === 0xfe) return 'utf-16le';
  if (body[0] === 0x3c && body[1] === 0) return 'utf-16le';
  if (body[0] === 0 && body[1] === 0x3c) return 'utf-16be';
  const declaration = /^(?:\xef\xbb\xbf)?<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]+)["']/;
  return declaration.exec(body.toString('latin1', 0, 200))?.[1] ?? 'utf-8';
}

/** The answer isn't the document that was asked for. */
export function notXml({ source, url }: DocumentOrigin, why: string, cause?: unknown): SourceError {
  return new SourceError('PROTOCOL', source, `${shownUrl(url)} is no answer of a NuGet 2 feed: ${why}`, { cause });
}

export function tooMuch({ source, url }: DocumentOrigin, what: string): SourceError {
  return new SourceError('LIMIT', source, `${shownUrl(url)} ${what}`);
}
