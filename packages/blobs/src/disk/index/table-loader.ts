import { setImmediate } from 'node:timers/promises';
import type { Logger } from '@granary/telemetry';
import { Yielder } from '../yielding.js';
import type { Catalog } from './catalog.js';

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
  let after: Buffer | undefined;
  for (;;) {
    if (signal.aborted) return false;
    const batch = catalog.database.recordsAfter(after, BATCH);
    for (const { key, record } of batch) {
      if (record) catalog.load(key, record);
      else malformed++;
    }
    after = batch.at(-1)?.key;
    if (!after) break;
    await yielder.pause();
  }
  if (malformed > 0) logger.warning('The index has {Malformed} malformed records, which count as missing', malformed);
  catalog.finishLoading();
  return true;
}
