import type { Digest } from '../digest.js';
import { DiskBlobStore } from '../disk/disk-blob-store.js';
import type { Durability } from '../disk/options.js';
import { blobOf, fileOf, inChunks } from './content.js';

/**
 * Writes blobs and action results until it is killed, and prints each that was acknowledged. Run as a process of its
 * own: `node crashing-writer.js FOLDER DURABILITY ROUND`.
 */
const [directory = '', durability = 'data', round = '0'] = process.argv.slice(2);
const SIZES = [10, 3000, 32_768, 32_769, 100_000, 700_000];
const WRITERS = 8;

const store = await DiskBlobStore.open({
  directory,
  durability: durability as Durability,
  maxBytes: 2 ** 30,
  directBytes: 256 * 1024,
});

async function write(writer: number): Promise<void> {
  for (let i = 0; ; i++) {
    const seed = `${round}/${writer}/${i}`;
    const size = SIZES[(i + writer) % SIZES.length] as number;
    const { digest, bytes } = blobOf(size, seed);
    if (i % 3 === 2) await adopt(digest, bytes);
    else await store.write(digest, i % 3 === 0 ? bytes : inChunks(bytes, 16 * 1024));
    process.stdout.write(`blob ${size} ${seed}\n`);
    await store.actionResults.set(seed, Buffer.from(`result ${seed}`));
    process.stdout.write(`result 0 ${seed}\n`);
  }
}

async function adopt(digest: Digest, bytes: Buffer): Promise<void> {
  const whole = await fileOf(store.incomingDirectory, bytes);
  await store.adopt(digest, whole);
  await whole.file.close();
}

await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
