// npm run bench -- cache [--rounds N --ms M]: a hit in memory through the chain, and loads for many callers at once, beside
// the caches of others; the memory of an entry, beside lru-cache; and 10,000 keys at once from Redis, beside ioredis.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { CONTENDERS, ROWS } from './src/cache.mjs';
import { contest, median, report } from './src/contest.mjs';
import { freePort, runToEnd, startServer } from './src/process.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

await contest('cache-hits', CONTENDERS, ROWS);
report('cache', [...(await entryMemory()), ...(await manyLoads()), ...(await redisBatches())], {});

async function entryMemory() {
  const bytes = { 'lru-cache': [], 'memory-layer': [], 'memory-layer-grace': [] };
  for (let round = 0; round < 3; round++) {
    for (const [name, taken] of Object.entries(bytes)) {
      const out = await runToEnd(process.execPath, ['--expose-gc', here('src/entry-memory.mjs'), name]);
      taken.push(JSON.parse(out).bytes);
    }
  }
  const ofLruCache = (name) => median(bytes[name]) / median(bytes['lru-cache']);
  const row = 'MemoryLayer: memory of an entry';
  return [
    { row: `${row}, of lru-cache’s`, unit: '×', atMost: 1.2, value: ofLruCache('memory-layer') },
    { row: `${row} with a grace, of lru-cache’s`, unit: '×', atMost: 1.2, value: ofLruCache('memory-layer-grace') },
  ];
}

async function manyLoads() {
  const peers = ['bentocache', 'cachified', 'async-cache-dedupe'];
  const rounds = [];
  for (let round = 0; round < 3; round++) {
    const perSecond = {};
    for (const name of ['chain', ...peers]) {
      const out = await runToEnd(process.execPath, ['--expose-gc', here('src/many-loads.mjs'), name]);
      perSecond[name] = JSON.parse(out).loadsPerSecond;
    }
    rounds.push(perSecond);
  }
  return peers.map((peer) => ({
    row: `64 loads at once: as fast as ${peer}`,
    unit: '×',
    atLeast: 1,
    value: median(rounds.map((perSecond) => perSecond.chain / perSecond[peer])),
  }));
}

async function redisBatches() {
  if (spawnSync('redis-server', ['--version']).status !== 0) {
    console.log('Redis is left out: redis-server is not installed');
    return [];
  }
  const port = await freePort();
  const directory = mkdtempSync(`${tmpdir()}/granary-bench-redis-`);
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', directory];
  const server = await startServer('redis-server', args, [port]);
  try {
    const measured = JSON.parse(await runToEnd(process.execPath, [here('src/redis-batches.mjs'), `${port}`]));
    const row = 'getMany of 10,000 keys from Redis';
    return ['layer', 'chain'].flatMap((by) => [
      {
        row: `${row} by a ${by}, as fast as mget with JSON.parse`,
        unit: '×',
        atLeast: 0.8,
        value: measured[by].parsed,
      },
      { row: `${row} by a ${by}, as fast as mget alone`, unit: '×', atLeast: 0.8, value: measured[by].mget },
    ]);
  } finally {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
