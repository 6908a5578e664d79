// node --expose-gc many-loads.mjs chain | bentocache | async-cache-dedupe | cachified [SECONDS]: how many keys a second that
// are nowhere are loaded for 64 callers at once, after a full collection under load, as a process that has run for
// a while has had some.
import { cachified } from '@epic-web/cachified';
import { createChain, MemoryLayer } from '@granary/cache';
import { createCache } from 'async-cache-dedupe';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { LRUCache } from 'lru-cache';

const CALLERS = 64;
const ENTRIES = 1000;
const TTL_MS = 3_600_000;

const makers = {
  chain: () => {
    const chain = createChain({ layers: [new MemoryLayer({ name: 'L1', maxEntries: ENTRIES })], ttlMs: TTL_MS });
    return (key) => chain.getOrLoad(key, () => load(key));
  },
  bentocache: () => {
    const stores = { memory: bentostore().useL1Layer(memoryDriver({ maxItems: ENTRIES })) };
    const cache = new BentoCache({ default: 'memory', ttl: TTL_MS, stores });
    return (key) => cache.getOrSet({ key, factory: () => load(key) });
  },
  'async-cache-dedupe': () => {
    const storage = { type: 'memory', options: { size: ENTRIES } };
    const cache = createCache({ ttl: TTL_MS / 1000, storage }).define('load', load);
    return (key) => cache.load(key);
  },
  cachified: () => {
    const cache = new LRUCache({ max: ENTRIES });
    return (key) => cachified({ key, cache, ttl: TTL_MS, getFreshValue: () => load(key) });
  },
};

const [name, seconds = '2'] = process.argv.slice(2);
const get = makers[name]();
let next = 0;
const warmUp = run(1);
await new Promise((resolve) => setTimeout(resolve, 500));
globalThis.gc();
await warmUp;
console.log(JSON.stringify({ loadsPerSecond: (await run(Number(seconds))) / Number(seconds) }));
process.exit();

async function run(forSeconds) {
  const first = next;
  const end = performance.now() + forSeconds * 1000;
  const caller = async () => {
    while (performance.now() < end) {
      const key = `package/newtonsoft.json/13.0.${next++}`;
      const value = await get(key);
      if (value.id !== key) throw new Error(`${key} is ${value.id}`);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return next - first;
}

async function load(key) {
  await new Promise(setImmediate);
  return { id: key, versions: new Array(100).fill(1) };
}
