import type { EntryStore } from './entry-store.js';
import { isNotFound, orFail } from './failure.js';

/** What a readiness probe writes. */
const PROBE = Buffer.from('writable');

/** Bytes of what it writes. */
export const PROBE_BYTES: number = PROBE.length;

/**
 * Does what an upload does: makes, moves and removes a small file, commits to the index, and looks whether that is still
 * there.
 *
 * @throws StoreError when the store cannot take an upload now, or would lose it when it is closed
 */
export async function probeWriting(entries: EntryStore): Promise<void> {
  await orFail(writeFile(entries), 'the store is not writable');
  await entries.catalog.putTotals();
  await entries.catalog.database.checkInPlace();
}

async function writeFile({ fs, directory }: EntryStore): Promise<void> {
  let path = directory.incomingFile();
  const file = await fs.create(path);
  try {
    await file.write(PROBE, 0, PROBE.length, 0);
    // As an upload does, which can't where blobs lie on another file system.
    await fs.rename(path, directory.probeFile);
    path = directory.probeFile;
  } finally {
    await file.close();
    await fs.unlink(path).catch((error: unknown) => {
      // Another probe may have taken its place, and removed it.
      if (!isNotFound(error)) throw error;
    });
  }
}
