// node fill.mjs DIRECTORY COUNT: fills a store with small blobs, without a server.
import { Digest, DiskBlobStore } from '../../packages/blobs/dist/index.js';

const [directory, count] = [process.argv[2], Number(process.argv[3])];
const BATCH = 5000;

const store = await DiskBlobStore.open({ directory, maxBytes: 64 * 2 ** 30, minFreeBytes: 0, durability: 'none' });
for (let first = 0; first < count; first += BATCH) {
  const writes = [];
  for (let i = first; i < Math.min(first + BATCH, count); i++) {
    const data = Buffer.from(`blob number ${i} of the benchmark`);
    writes.push(store.write(Digest.of('sha256', data), data));
  }
  await Promise.all(writes);
}
await store.close();
