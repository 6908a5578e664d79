import { setImmediate } from 'node:timers/promises';
import type { Logger } from '@granary/telemetry';
import { Yielder } from '../yielding.js';
import type { Catalog } from './catalog.js';
import { ReusedKeys } from './entry-key.js';

const BATCH = 256;

/**
 * Fills the table from the database while the store serves already, in slices of a few milliseconds, then lets
 * the table alone answer. Decision 003 says what that costs.
 *
 * @returns false when the signal ended it
 */
export async function loadTable(catalog: Catalog, signal: AbortSignal, logger: Logger): Promise<boolean> {
  // The answers that wait for the store to be open come first.
  await setImmediate();
  const yielder = new Yielder();
  let malformed = 0;
  const keys = new ReusedKeys();
  let after: Buffer | undefined;
  for (;;) {
    if (signal.aborted) return false;
    let last: Buffer | undefined;
    for (const { key: bytes, record } of catalog.database.recordsAfter(after, BATCH)) {
      const key = keys.parse(bytes);
      if (key && record) catalog.load(key, record);
      else malformed++;
      last = bytes;
    }
    if (!last) break;
    after = last;
    await yielder.pause();
  }
  if (malformed > 0) logger.warning('The index has {Malformed} malformed records, which count as missing', malformed);
  catalog.finishLoading();
  return true;
}
