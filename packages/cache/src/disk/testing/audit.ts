import { type Database, open } from 'lmdb';
import { goneKey, metaKey, pieceKey, useKey } from '../database-keys.js';
import { decodeRecord } from '../stored-record.js';

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

export interface Audited {
  readonly entries: number;
  readonly bytes: number;
}

/**
 * Counts what is in a namespace of a folder that nobody has open, and looks whether every entry has its pieces and its
 * places in the lists, and whether there is anything else.
 *
 * @throws Error for the first thing that is wrong
 */
export async function audit(directory: string, namespace: string): Promise<Audited> {
  const root = open<Buffer, Buffer>({ path: directory, noSubdir: false, maxDbs: 8, ...BINARY });
  try {
    return auditDatabase(root.openDB({ name: namespace, ...BINARY }));
  } finally {
    await root.close();
  }
}

function auditDatabase(database: Database<Buffer, Buffer>): Audited {
  const contents = new Map<string, Buffer>();
  for (const { key, value } of database.getRange({})) contents.set(key.toString('hex'), Buffer.from(value));
  if (contents.size === 0) return { entries: 0, bytes: 0 };
  const totals = take(contents, metaKey);
  let entries = 0;
  let bytes = 0;
  for (const [hex, value] of [...contents]) {
    if (!hex.startsWith('01') && !hex.startsWith('05')) continue;
    contents.delete(hex);
    const record = decodeRecord(value);
    if (record === undefined) throw new Error(`the record ${hex} is damaged`);
    entries++;
    bytes += record.charge;
    let stored = 0;
    for (let i = 0; stored < record.frameBytes; i++) stored += take(contents, pieceKey(record.id, i)).length;
    if (stored !== record.frameBytes) throw new Error(`${hex} has ${stored} bytes, not ${record.frameBytes}`);
    take(contents, useKey(record.lastUse));
    if (record.goneAt < Number.POSITIVE_INFINITY) take(contents, goneKey(record.goneAt, record.id));
  }
  if (contents.size > 0) throw new Error(`nothing knows of ${[...contents.keys()]}`);
  const counted = { bytes: totals.readDoubleLE(0), entries: totals.readDoubleLE(8) };
  if (counted.bytes !== bytes || counted.entries !== entries) {
    throw new Error(`there are ${entries} entries of ${bytes} bytes, not ${counted.entries} of ${counted.bytes}`);
  }
  return { entries, bytes };
}

function take(contents: Map<string, Buffer>, key: Buffer): Buffer {
  const value = contents.get(key.toString('hex'));
  if (value === undefined) throw new Error(`${key.toString('hex')} is missing`);
  contents.delete(key.toString('hex'));
  return value;
}
