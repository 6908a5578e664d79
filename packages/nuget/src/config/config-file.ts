import { isUtf8 } from 'node:buffer';
import { open } from 'node:fs/promises';
import { NuGetError } from '../errors.js';
import { decodeXml } from '../packages/xml-text.js';
import { parseXml, type XmlElement, XmlError } from './xml-element.js';

export type ConfigText = 'utf8' | 'utf8-bom' | 'utf16le';

/** One `nuget.config`. */
export interface ConfigFile {
  readonly path: string;
  /** As it was read. */
  readonly bytes: Buffer;
  readonly text: string;
  /** How it is written when it changes. */
  readonly encoding: ConfigText;
  readonly root: XmlElement;
  /** `machine` and `additional` files are read, and never written. */
  readonly kind: 'folder' | 'user' | 'additional' | 'machine';
}

/** What somebody writes by hand; more than this is no `nuget.config`. */
const MAX_CONFIG_BYTES = 1024 * 1024;

/** What a user who has no `NuGet.Config` has: NuGet writes this file when it is missing. */
export const DEFAULT_CONFIG = `<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <packageSources>
    <add key="nuget.org" value="https://api.nuget.org/v3/index.json" protocolVersion="3" />
  </packageSources>
</configuration>
`;

/**
 * Reads a file; undefined where there is none.
 *
 * @throws {@link NuGetError} `INVALID_CONFIG` for a file that can't be read, with the line where there is one
 */
export async function readConfigFile(path: string, kind: ConfigFile['kind']): Promise<ConfigFile | undefined> {
  const bytes = await readBounded(path);
  return bytes && parseConfigFile(path, kind, bytes);
}

export function parseConfigFile(path: string, kind: ConfigFile['kind'], bytes: Buffer): ConfigFile {
  const { text, encoding } = decode(path, bytes);
  let root: XmlElement;
  try {
    root = parseXml(text);
  } catch (error) {
    if (error instanceof XmlError) throw configError(path, error.line, `is not XML: ${error.message}`);
    throw error;
  }
  if (root.name.toLowerCase() !== 'configuration')
    throw configError(path, root.line, `found <${root.name}>; allowed: <configuration> as the outermost element`);
  return { path, bytes, text, encoding, root, kind };
}

export function encodeConfig(text: string, encoding: ConfigText): Buffer {
  if (encoding === 'utf16le') return Buffer.from(`\ufeff${text}`, 'utf16le');
  return Buffer.from(encoding === 'utf8-bom' ? `\ufeff${text}` : text, 'utf8');
}

export function configError(path: string, line: number, message: string): NuGetError {
  return new NuGetError('INVALID_CONFIG', `${path}:${line}: ${message}`);
}

/** The value of an attribute, whose name's case doesn't matter. */
export function attribute(element: XmlElement, name: string): string | undefined {
  for (const [key, value] of element.attributes) if (key.toLowerCase() === name.toLowerCase()) return value;
  return undefined;
}

async function readBounded(path: string): Promise<Buffer | undefined> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, MAX_CONFIG_BYTES + 1));
    let read = 0;
    while (read < bytes.length) {
      const { bytesRead } = await file.read(bytes, read, bytes.length - read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    if (read > MAX_CONFIG_BYTES)
      throw new NuGetError('INVALID_CONFIG', `${path} has more than ${MAX_CONFIG_BYTES} bytes`);
    return bytes.subarray(0, read);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return undefined;
    if (error instanceof NuGetError) throw error;
    throw new NuGetError('INVALID_CONFIG', `${path} can't be read: ${(error as Error).message}`, { cause: error });
  }
}

/** What files in other encodings than UTF-8 and UTF-16 have to say. */
const DECLARED_ENCODING = /^(<\?xml[^>]*?\sencoding\s*=\s*["'])[^"']*/;

function decode(path: string, bytes: Buffer): { readonly text: string; readonly encoding: ConfigText } {
  const [a, b, c] = bytes;
  if (a === 0xff && b === 0xfe) return { text: bytes.toString('utf16le', 2), encoding: 'utf16le' };
  if (!isUtf8(bytes)) {
    // It becomes UTF-8 when it changes, as nothing here writes other encodings.
    const text = decodeXml(bytes, { name: path, code: 'INVALID_CONFIG' });
    return { text: text.replace(DECLARED_ENCODING, '$1utf-8'), encoding: 'utf8' };
  }
  const isMarked = a === 0xef && b === 0xbb && c === 0xbf;
  return { text: bytes.toString('utf8', isMarked ? 3 : 0), encoding: isMarked ? 'utf8-bom' : 'utf8' };
}
