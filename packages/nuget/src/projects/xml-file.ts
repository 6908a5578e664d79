import { decodeXml } from '../packages/xml-text.js';
import { parseXml, type XmlElement } from '../packages/xml-tree.js';
import { readBounded } from './read-bounded.js';

const MAX_BYTES = 4 * 1024 * 1024;

/** @throws NuGetError `INVALID_PROJECT`, `LIMIT` */
export function readXml(path: string): XmlElement {
  const kind = { name: path, code: 'INVALID_PROJECT' } as const;
  return parseXml(decodeXml(readBounded(path, MAX_BYTES), kind), kind);
}
