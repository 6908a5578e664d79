import { type BlobIndex, IN_FILE } from '../index/blob-index.js';
import type { EntryKey } from '../index/entry-key.js';
import type { Yielder } from '../yielding.js';

/** An entry that was among the least recently used when they were collected. */
export interface OldEntry {
  readonly key: EntryKey;
  readonly lastUse: number;
  readonly isFile: boolean;
}

/** Entries of which kind are to go: all alike, those that are files, or those in the database. */
export type EvictedKind = 'any' | 'file' | 'in database';

/**
 * The entries that have not been used for the longest time, the oldest first, in one pass over the table. Entries
 * that are used meanwhile only get younger, so the list stays in the right order: whoever walks it skips those whose
 * last use has changed.
 *
 * @param most how many at most
 * @param before only those used before this time
 */
export async function collectOldest(
  table: BlobIndex,
  most: number,
  before: number,
  kind: EvictedKind,
  yielder: Yielder,
): Promise<OldEntry[]> {
  let found: OldEntry[] = [];
  let threshold = before;
  const keepOldest = () => {
    found.sort((a, b) => a.lastUse - b.lastUse);
    found = found.slice(0, most);
  };
  for (let segment = 0; segment < table.segmentCount; segment++) {
    table.scan(segment, (handle) => {
      const lastUse = table.lastUse(handle);
      const isFile = table.hasFlag(handle, IN_FILE);
      if (lastUse >= threshold || (kind !== 'any' && isFile !== (kind === 'file'))) return;
      found.push({ key: table.key(handle), lastUse, isFile });
      if (found.length < most * 2) return;
      keepOldest();
      threshold = found.at(-1)?.lastUse ?? threshold;
    });
    await yielder.pause();
  }
  keepOldest();
  return found;
}
