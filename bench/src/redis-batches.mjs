// node redis-batches.mjs PORT: 10,000 keys at once from Redis, by ioredis' mget, by mget and JSON.parse as one would write
// it by hand, by the layer, and by a chain. Prints as JSON the medians in milliseconds, and how many times as fast as mget
// the layer and the chain are.
//
// All take turns, one call each in every round, and each call is compared with the one of mget in its own round: what
// else the machine does comes and goes, and hits neighbours alike. The figures are the medians of those ratios.
import { createChain } from '@granary/cache';
import { RedisLayer } from '@granary/cache/redis';
import { Redis } from 'ioredis';
import { median } from './contest.mjs';

const ROUNDS = 200;
const WARM_UP = 20;
const KEYS = Array.from({ length: 10_000 }, (_, i) => `package/newtonsoft.json/13.0.${i}`);
const listing = (key) => ({ id: key, listed: true });

const client = new Redis({ host: '127.0.0.1', port: Number(process.argv[2]) });
// A machine that does much else needs its time: what is slow is measured, and does not fail.
const layer = new RedisLayer({ connection: client, timeoutMs: 60_000 });
const chain = createChain({ layers: [layer] });
await chain.setMany(new Map(KEYS.map((key) => [key, listing(key)])));
await client.mset(...KEYS.flatMap((key) => [`plain:${key}`, JSON.stringify(listing(key))]));
const plain = KEYS.map((key) => `plain:${key}`);

const contenders = Object.entries({
  mget: async () => (await client.mget(plain)).length,
  parsed: async () => {
    const values = new Map();
    for (const [i, text] of (await client.mget(plain)).entries()) values.set(KEYS[i], JSON.parse(text));
    return values.size;
  },
  layer: async () => (await layer.getMany(KEYS)).size,
  chain: async () => (await chain.getMany(KEYS)).size,
});
const taken = { mget: [], parsed: [], layer: [], chain: [] };
for (let round = -WARM_UP; round < ROUNDS; round++) {
  for (const [name, run] of inTurn(round + WARM_UP)) {
    const begun = performance.now();
    if ((await run()) !== KEYS.length) throw new Error(`${name} did not find every key`);
    if (round >= 0) taken[name].push(performance.now() - begun);
  }
}
const asFastAs = (peer, name) => median(taken[name].map((ms, round) => taken[peer][round] / ms));
const ratios = (name) => ({ mget: asFastAs('mget', name), parsed: asFastAs('parsed', name) });
const ms = Object.fromEntries(Object.entries(taken).map(([name, all]) => [name, median(all)]));
console.log(JSON.stringify({ ms, layer: ratios('layer'), chain: ratios('chain') }));
await chain.close();
client.disconnect();

/** In another order each time, and each as often before another as behind it: who comes next pays for the garbage. */
function inTurn(round) {
  const first = round % contenders.length;
  const order = [...contenders.slice(first), ...contenders.slice(0, first)];
  return Math.floor(round / contenders.length) % 2 ? order.toReversed() : order;
}
