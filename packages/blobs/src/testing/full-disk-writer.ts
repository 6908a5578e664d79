import { DiskBlobStore } from '../disk/disk-blob-store.js';
import { blobOf } from './content.js';

/**
 * Writes small blobs until the index may not grow any more, then reads everything back. Run as a process of its own
 * whose files are limited in size: `node full-disk-writer.js FOLDER`. Prints what it found.
 */
const [directory = ''] = process.argv.slice(2);
const MOST = 5000;

// The system would end the process for writing too much, instead of failing the write.
process.on('SIGXFSZ', () => {});

const store = await DiskBlobStore.open({ directory, maxBytes: 2 ** 30, housekeepingMs: 0 });
let written = 0;
let failure: unknown;
while (written < MOST && failure === undefined) {
  const { digest, bytes } = blobOf(8000, written);
  await store.write(digest, bytes).then(
    () => written++,
    (error: unknown) => {
      failure = error;
    },
  );
}
let intact = 0;
for (let i = 0; i < written; i++) {
  const { digest, bytes } = blobOf(8000, i);
  if ((await store.get(digest))?.equals(bytes)) intact++;
}
const { code } = failure as { code?: string };
const { reservedBytes, blobs } = store.stats();
await store.close();
process.stdout.write(`${JSON.stringify({ written, intact, blobs, code, reservedBytes })}\n`);
