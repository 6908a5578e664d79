import { Yielder } from '../yielding.js';
import { DIRTY } from './blob-index.js';
import type { Catalog } from './catalog.js';
import { keyBytes, keyText } from './entry-key.js';

/** Most records that one round writes; what is left waits for the next. */
const MOST_A_ROUND = 20_000;
const BATCH = 500;

/**
 * Writes down what was used since the last round, in small transactions. A use costs nothing but a store to memory
 * when it happens; a killed process loses the order of the last moments, never an entry.
 *
 * @param most records to write at most
 * @returns records written
 */
export async function writeRecency(
  catalog: Catalog,
  signal: AbortSignal | undefined,
  most = MOST_A_ROUND,
): Promise<number> {
  const { table, database, locks } = catalog;
  const yielder = new Yielder();
  let written = 0;
  let pending: Promise<void>[] = [];
  for (let segment = 0; segment < table.segmentCount && written < most; segment++) {
    if (table.dirtyIn(segment) === 0) continue;
    if (signal?.aborted) break;
    table.scan(segment, (handle) => {
      if (written >= most || !table.hasFlag(handle, DIRTY)) return;
      const key = catalog.keyAt(handle);
      // An entry that is being changed gets its record from that change; it stays dirty until a later round.
      if (!key || locks.isHeld(keyText(key))) return;
      table.clearFlag(handle, DIRTY);
      const bytes = keyBytes(key);
      const record = database.record(bytes);
      if (!record) return;
      const put = database.putRecord(bytes, { ...record, lastUse: table.lastUse(handle) });
      // It may fail during a pause, before anybody waits for it: that must not count as an error that nobody handles.
      put.catch(() => {});
      pending.push(put);
      written++;
    });
    if (pending.length >= BATCH) {
      await Promise.all(pending);
      pending = [];
    }
    await yielder.pause();
  }
  await Promise.all(pending);
  return written;
}
