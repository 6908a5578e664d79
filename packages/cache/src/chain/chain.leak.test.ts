import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { MemoryLayer } from '../layers/memory-layer.js';
import { createChain } from './chain.js';

const KEYS = 1_000_000;
/** A map with an entry for each of the keys that come after the first measurement would take several times as much. */
const MOST_BYTES_MORE = 16 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

it('keeps nothing of a million keys that were loaded, written, tagged, deleted or not found', async () => {
  const layers = [
    new MemoryLayer<{ n: number }>({ name: 'L1', maxEntries: 100 }),
    new MemoryLayer<{ n: number }>({ name: 'L2', maxEntries: 1000 }),
  ];
  const chain = createChain({ layers, ttlMs: 60_000, graceMs: 60_000 });
  const use = async (n: number) => {
    const key = `key ${n}`;
    await chain.getOrLoad(key, async () => (n % 3 === 0 ? undefined : { n }));
    if (n % 5 === 0) await chain.set(key, { n }, { tags: [`tag ${n % 7}`] });
    if (n % 11 === 0) await chain.delete(key);
    if (n % 13 === 0) await chain.get(`another ${n}`);
  };
  for (let n = 0; n < KEYS / 2; n++) await use(n);
  const before = heapBytes();
  for (let n = KEYS / 2; n < KEYS; n++) await use(n);
  expect(heapBytes() - before).toBeLessThan(MOST_BYTES_MORE);
  expect(chain.stats()).toMatchObject({ loading: 0, background: 0 });
  await chain.close();
}, 120_000);
