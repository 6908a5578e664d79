// node chain-hits.mjs memory|disk FIRST SECOND: hits of two chains, `watched` and `unwatched`, made in that order, in short
// turns, so that a drift of the machine's speed hits both alike. Prints what is left of the throughput where it is watched.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createChain, MemoryLayer } from '@granary/cache';
import { openDiskLayer } from '@granary/cache/disk';
import { createLogger, PrometheusCollector } from '@granary/telemetry';
import { median } from './contest.mjs';

const KEYS = Array.from({ length: 1000 }, (_, i) => `package/newtonsoft.json/13.0.${i}`);
const TURN_MS = 5;
const TURNS = 400;
/** Turns in which everything becomes hot. */
const WARM_UP_TURNS = 200;
/** Hits between two looks at the clock. */
const HITS_AT_ONCE = 100;

const [kind, ...made] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'granary-bench-chain-'));

const layerOf = (name) =>
  kind === 'memory'
    ? new MemoryLayer({ name: 'L1', maxEntries: 10_000 })
    : // Without a layer in memory above, which would have it after the first time.
      openDiskLayer({ directory: join(folder, name), maxBytes: 64 * 2 ** 20 });
const watched = () => ({
  metrics: new PrometheusCollector(),
  logger: createLogger({ level: 'information', destination: 'stderr' }),
});

const sides = {};
for (const name of made) {
  const chain = createChain({ layers: [await layerOf(name)], ...(name === 'watched' && watched()) });
  for (const key of KEYS) await chain.set(key, { id: key, listed: true });
  sides[name] = { chain, turn: 0, rates: [] };
}

async function hit(side) {
  const start = performance.now();
  let hits = 0;
  let taken = 0;
  while (taken < TURN_MS) {
    for (let i = 0; i < HITS_AT_ONCE; i++) {
      side.turn = (side.turn + 1) % KEYS.length;
      await side.chain.get(KEYS[side.turn]);
    }
    hits += HITS_AT_ONCE;
    taken = performance.now() - start;
  }
  side.rates.push(hits / taken);
}

for (let turn = 0; turn < WARM_UP_TURNS + TURNS; turn++) {
  for (const name of turn % 2 ? made.toReversed() : made) await hit(sides[name]);
}
for (const { chain } of Object.values(sides)) await chain.close();
rmSync(folder, { recursive: true, force: true });
const { watched: observed, unwatched } = sides;
const ratios = observed.rates.map((rate, turn) => rate / unwatched.rates[turn]);
console.log(median(ratios.slice(WARM_UP_TURNS)));
