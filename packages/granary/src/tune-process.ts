import { setFlagsFromString } from 'node:v8';

/** Sets what holds for the whole process: Node's defaults are for programs that have less in flight. */
export function tuneProcess(): void {
  // Buffers of half a pool and more are allocated one by one, and by default that is 4 KiB: just the size of the blobs
  // that batches are full of, which then keep the collector busy (benchmark `BatchReadBlobs 100x4KiB`: 0.45 → 0.7).
  Buffer.poolSize = 64 * 1024;

  // By itself V8 lets a heap grow the less the slower objects fill it, and doesn't count as such what fills buffers, which
  // is most of what goes through here: it looked through the whole heap for every 27 MiB of them, where dropping the young
  // ones does (benchmark `tiers`, one cold reader: a fifth of those collections, half of the processor time). The price: up
  // to twice of what is alive may wait for a collection.
  setFlagsFromString('--heap-growing-percent=200');
}
