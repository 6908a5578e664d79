import { readFileSync, statSync } from 'node:fs';
import { NuGetError } from '../errors.js';
import { decodeXml } from '../packages/xml-text.js';
import { parseXml, type XmlElement } from '../packages/xml-tree.js';

const MAX_BYTES = 4 * 1024 * 1024;

/** @throws NuGetError `INVALID_PROJECT`, `LIMIT` */
export function readXml(path: string): XmlElement {
  const kind = { name: path, code: 'INVALID_PROJECT' } as const;
  let bytes: Buffer;
  try {
    if (statSync(path).size > MAX_BYTES) throw new NuGetError('LIMIT', `${path} has more than ${MAX_BYTES} bytes`);
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof NuGetError) throw error;
    throw new NuGetError('INVALID_PROJECT', `${path} can't be read: ${(error as Error).message}`, { cause: error });
  }
  return parseXml(decodeXml(bytes, kind), kind);
}
