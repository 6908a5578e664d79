// node --expose-gc entry-memory.mjs lru-cache | memory-layer | memory-layer-grace: bytes of the heap that an entry takes,
// values not counted.
import { MemoryLayer } from '@granary/cache';
import { LRUCache } from 'lru-cache';

const ENTRIES = 200_000;
const TTL_MS = 3_600_000;
const VALUE = { listed: true };

const makers = {
  'lru-cache': () => new LRUCache({ max: ENTRIES, ttl: TTL_MS }),
  'memory-layer': () => new MemoryLayer({ maxEntries: ENTRIES, ttlMs: TTL_MS }),
  'memory-layer-grace': () => new MemoryLayer({ maxEntries: ENTRIES, ttlMs: TTL_MS, graceMs: TTL_MS }),
};

const keys = Array.from({ length: ENTRIES }, (_, i) => `package/newtonsoft.json/13.0.${i}`);
const before = used();
const cache = makers[process.argv[2]]();
for (const key of keys) cache.set(key, VALUE);
const bytes = (used() - before) / ENTRIES;
if (cache.get(keys[0]) !== VALUE || cache.get(keys.at(-1)) !== VALUE) throw new Error('an entry is missing');
console.log(JSON.stringify({ bytes }));

function used() {
  for (let i = 0; i < 3; i++) globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
