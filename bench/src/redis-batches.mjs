// node redis-batches.mjs PORT: 10,000 keys at once from Redis, by ioredis' mget, by mget and JSON.parse as one would write
// it by hand, by the layer, and by a chain, taking turns. Prints the medians in milliseconds as JSON.
import { createChain } from '@granary/cache';
import { RedisLayer } from '@granary/cache/redis';
import { Redis } from 'ioredis';
import { median } from './contest.mjs';

const ROUNDS = 41;
const KEYS = Array.from({ length: 10_000 }, (_, i) => `package/newtonsoft.json/13.0.${i}`);
const listing = (key) => ({ id: key, listed: true });

const client = new Redis({ host: '127.0.0.1', port: Number(process.argv[2]) });
const layer = new RedisLayer({ connection: client });
const chain = createChain({ layers: [layer] });
await chain.setMany(new Map(KEYS.map((key) => [key, listing(key)])));
await client.mset(...KEYS.flatMap((key) => [`plain:${key}`, JSON.stringify(listing(key))]));
const plain = KEYS.map((key) => `plain:${key}`);

const contenders = {
  mget: async () => (await client.mget(plain)).length,
  parsed: async () => {
    const values = new Map();
    for (const [i, text] of (await client.mget(plain)).entries()) values.set(KEYS[i], JSON.parse(text));
    return values.size;
  },
  layer: async () => (await layer.getMany(KEYS)).size,
  chain: async () => (await chain.getMany(KEYS)).size,
};
const taken = { mget: [], parsed: [], layer: [], chain: [] };
for (let round = -5; round < ROUNDS; round++) {
  // In another order each time: who comes after whom decides who pays for the garbage.
  const order = Object.entries(contenders);
  for (const [name, run] of [...order.slice((round + 5) % 4), ...order.slice(0, (round + 5) % 4)]) {
    const begun = performance.now();
    if ((await run()) !== KEYS.length) throw new Error(`${name} did not find every key`);
    if (round >= 0) taken[name].push(performance.now() - begun);
  }
}
console.log(JSON.stringify(Object.fromEntries(Object.entries(taken).map(([name, ms]) => [name, median(ms)]))));
await chain.close();
client.disconnect();
