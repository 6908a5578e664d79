// What bench/cache.mjs measures: a hit in memory, through Granary's chain, through its peers, and in lru-cache alone.
import { cachified } from '@epic-web/cachified';
import { createChain, MemoryLayer } from '@granary/cache';
import { PrometheusCollector } from '@granary/telemetry';
import { createCache as createDedupeCache } from 'async-cache-dedupe';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { createCache as createCacheManager } from 'cache-manager';
import { Cacheable } from 'cacheable';
import { LRUCache } from 'lru-cache';
import { do_not_optimize } from 'mitata';
import { asFastAs, costs, costsAbove } from './contest.mjs';

const TTL_MS = 3_600_000;
const KEYS = Array.from({ length: 1000 }, (_, i) => `package/newtonsoft.json/13.0.${i}`);
const listing = (key) => ({ id: key, listed: true });
const load = async (key) => listing(key);

export const CONTENDERS = {
  'lru-cache alone': () => {
    const cache = new LRUCache({ max: 10_000, ttl: TTL_MS });
    for (const key of KEYS) cache.set(key, listing(key));
    const next = inTurn();
    return () => do_not_optimize(cache.get(next()));
  },
  'lru-cache, awaited': () => {
    const cache = new LRUCache({ max: 10_000, ttl: TTL_MS });
    for (const key of KEYS) cache.set(key, listing(key));
    const next = inTurn();
    return async () => cache.get(next());
  },
  chain: async () => {
    const chain = await filledChain();
    const next = inTurn();
    return closing(chain, () => do_not_optimize(chain.get(next())));
  },
  'chain, Prometheus': async () => {
    const chain = await filledChain({ metrics: new PrometheusCollector() });
    const next = inTurn();
    return closing(chain, () => do_not_optimize(chain.get(next())));
  },
  'chain, awaited': async () => {
    const chain = await filledChain();
    const next = inTurn();
    return closing(chain, async () => chain.get(next()));
  },
  'chain getOrLoad': async () => {
    const chain = await filledChain();
    const next = inTurn();
    return closing(chain, () => do_not_optimize(chain.getOrLoad(next(), load)));
  },
  'chain getOrLoad, Prometheus': async () => {
    const chain = await filledChain({ metrics: new PrometheusCollector() });
    const next = inTurn();
    return closing(chain, () => do_not_optimize(chain.getOrLoad(next(), load)));
  },
  'chain getOrLoad, awaited': async () => {
    const chain = await filledChain();
    const next = inTurn();
    return closing(chain, async () => chain.getOrLoad(next(), load));
  },

  'bentocache get': async () => {
    const cache = await filledBento();
    const next = inTurn();
    return Object.assign(() => cache.get({ key: next() }), { close: () => cache.disconnectAll() });
  },
  'bentocache getOrSet': async () => {
    const cache = await filledBento();
    const next = inTurn();
    const factory = () => load('');
    return Object.assign(() => cache.getOrSet({ key: next(), factory }), { close: () => cache.disconnectAll() });
  },
  'cacheable get': async () => {
    const cache = new Cacheable({ ttl: TTL_MS });
    for (const key of KEYS) await cache.set(key, listing(key));
    const next = inTurn();
    return Object.assign(() => cache.get(next()), { close: () => cache.disconnect() });
  },
  'cacheable getOrSet': async () => {
    const cache = new Cacheable({ ttl: TTL_MS });
    for (const key of KEYS) await cache.set(key, listing(key));
    const next = inTurn();
    return Object.assign(() => cache.getOrSet(next(), () => load('')), { close: () => cache.disconnect() });
  },
  'cache-manager get': async () => {
    const cache = createCacheManager({ ttl: TTL_MS });
    for (const key of KEYS) await cache.set(key, listing(key));
    const next = inTurn();
    return () => cache.get(next());
  },
  'cache-manager wrap': async () => {
    const cache = createCacheManager({ ttl: TTL_MS });
    for (const key of KEYS) await cache.set(key, listing(key));
    const next = inTurn();
    return () => cache.wrap(next(), () => load(''));
  },
  cachified: async () => {
    const cache = new LRUCache({ max: 10_000 });
    const get = (key) => cachified({ key, cache, ttl: TTL_MS, getFreshValue: () => load(key) });
    for (const key of KEYS) await get(key);
    const next = inTurn();
    return () => get(next());
  },
  'async-cache-dedupe': async () => {
    const cache = createDedupeCache({ ttl: TTL_MS / 1000, storage: { type: 'memory', options: { size: 10_000 } } });
    cache.define('load', load);
    for (const key of KEYS) await cache.load(key);
    const next = inTurn();
    return () => cache.load(next());
  },
};

async function filledChain(options = {}) {
  const chain = createChain({
    layers: [new MemoryLayer({ name: 'L1', maxEntries: 10_000 })],
    ttlMs: TTL_MS,
    ...options,
  });
  for (const key of KEYS) await chain.set(key, listing(key));
  return chain;
}

async function filledBento() {
  const stores = { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 10_000 })) };
  const cache = new BentoCache({ default: 'memory', ttl: TTL_MS, stores });
  for (const key of KEYS) await cache.set({ key, value: listing(key) });
  return cache;
}

function closing(chain, run) {
  return Object.assign(run, { close: () => chain.close() });
}

function inTurn() {
  let next = 0;
  return () => {
    const key = KEYS[next];
    next = next === KEYS.length - 1 ? 0 : next + 1;
    return key;
  };
}

/** What is reported: from the nanoseconds of one round to a figure, with what is wanted of it. */
export const ROWS = [
  { row: 'chain: hit in the first layer, without await', ...costs('chain', 100) },
  { row: 'chain: what the Prometheus collector costs', ...costsAbove('chain', 'chain, Prometheus', 60) },
  { row: 'chain: as fast as bentocache', ...asFastAs('bentocache get', 'chain, awaited', 5) },
  { row: 'chain: as fast as cacheable', ...asFastAs('cacheable get', 'chain, awaited', 5) },
  { row: 'chain: as fast as cache-manager', ...asFastAs('cache-manager get', 'chain, awaited', 1) },
  { row: 'chain: as fast as cachified', ...asFastAs('cachified', 'chain, awaited', 1) },
  { row: 'chain: as fast as async-cache-dedupe', ...asFastAs('async-cache-dedupe', 'chain, awaited', 1) },
  { row: 'getOrLoad: hit in the first layer, without await', ...costs('chain getOrLoad', 100) },
  {
    row: 'getOrLoad: what the Prometheus collector costs',
    ...costsAbove('chain getOrLoad', 'chain getOrLoad, Prometheus', 60),
  },
  { row: 'getOrLoad: as fast as bentocache', ...asFastAs('bentocache getOrSet', 'chain getOrLoad, awaited', 5) },
  { row: 'getOrLoad: as fast as cacheable', ...asFastAs('cacheable getOrSet', 'chain getOrLoad, awaited', 5) },
  { row: 'getOrLoad: as fast as cache-manager', ...asFastAs('cache-manager wrap', 'chain getOrLoad, awaited', 1) },
  { row: 'getOrLoad: as fast as cachified', ...asFastAs('cachified', 'chain getOrLoad, awaited', 1) },
  { row: 'getOrLoad: as fast as async-cache-dedupe', ...asFastAs('async-cache-dedupe', 'chain getOrLoad, awaited', 1) },
];
