// node bench/http-client.mjs [--rounds N] [--seconds S] [--rows PATTERN]: what HttpClient with every policy on reaches of
// the throughput of bare undici, on loopback, with the server in another process. Client and undici take turns, round by
// round; a row's ratio is the median of the rounds' ratios. Writes bench/results/http-client.json.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { HttpClient } from '@granary/http';
import { HeadSampler, noopTracer, nullLogger, openTelemetryTracer, w3cPropagation } from '@granary/telemetry';
import * as api from '@opentelemetry/api';
import { NoopSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { Agent, request } from 'undici';

const TARGET = 0.95;
const SIZES = { '4 KiB': 4096, '1 MiB': 1024 * 1024 };
const CONNECTIONS = 32;

/** OpenTelemetry's SDK without anybody to send spans to. */
function tracerOf(ratio) {
  const provider = new TracerProvider({ spanProcessors: [new NoopSpanProcessor()] });
  return openTelemetryTracer({
    api,
    tracer: provider.getTracer('bench'),
    sampler: new HeadSampler(ratio),
    propagation: w3cPropagation,
    activeSpans: 'own',
  });
}

const round = (value, digits) => Number(value.toFixed(digits));

if (process.argv[2] === 'serve') serve();
else await measure();

function serve() {
  const bodies = new Map(Object.values(SIZES).map((size) => [`/${size}`, Buffer.alloc(size, 'x')]));
  const server = createServer((req, res) => {
    const body = bodies.get(req.url);
    res.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': body.length });
    res.end(body);
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
  process.once('disconnect', () => process.exit(0));
}

async function measure() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '11' },
      seconds: { type: 'string', default: '0.5' },
      rows: { type: 'string', default: '' },
    },
  });
  const server = fork(import.meta.filename, ['serve']);
  const [port] = await once(server, 'message');
  const agent = new Agent({ connections: CONNECTIONS });
  const client = clientWith({ tracer: noopTracer });
  const unsampled = clientWith({ tracer: tracerOf(0) });
  const traced = clientWith({ tracer: tracerOf(1) });
  const results = [];
  try {
    for (const [name, size] of Object.entries(SIZES)) {
      const url = `http://127.0.0.1:${port}/${size}`;
      const concurrency = size > 100_000 ? 8 : CONNECTIONS;
      const bareBuffer = async () => (await (await request(url, { dispatcher: agent })).body.arrayBuffer()).byteLength;
      const bareStream = async () => drain((await request(url, { dispatcher: agent })).body);
      const rows = [
        [`buffer ${name}`, bareBuffer, async () => (await client.buffer(url)).length],
        [`stream ${name}`, bareStream, async () => drain((await client.request(url)).body)],
        [`buffer ${name}, not sampled`, bareBuffer, async () => (await unsampled.buffer(url)).length],
        [`buffer ${name}, traced`, bareBuffer, async () => (await traced.buffer(url)).length],
        [`noise ${name}`, bareBuffer, bareBuffer],
      ];
      for (const [row, bare, ours] of rows) {
        if (!row.includes(values.rows)) continue;
        results.push(await compare(row, bare, ours, size, concurrency, Number(values.rounds), Number(values.seconds)));
      }
    }
  } finally {
    await Promise.all([client.close(), unsampled.close(), traced.close(), agent.close()]);
    server.disconnect();
  }
  mkdirSync(new URL('results', import.meta.url), { recursive: true });
  writeFileSync(
    new URL('results/http-client.json', import.meta.url),
    `${JSON.stringify({ node: process.version, target: TARGET, results }, undefined, 1)}\n`,
  );
}

/** Every policy on, and none that ever has to refuse. */
function clientWith(options) {
  let finished = 0;
  return new HttpClient({
    maxConnectionsPerHost: CONNECTIONS,
    rateLimiter: { capacity: 1e9, refillRate: 1e9 },
    throttle: { max: 10_000 },
    logger: nullLogger,
    metrics: {
      requestFinished: () => finished++,
      rateLimited: () => {},
    },
    ...options,
  });
}

/** Reads a stream to its end, as a reader who looks at every piece does. */
function drain(body) {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    body.on('data', (chunk) => {
      bytes += chunk.length;
    });
    body.once('end', () => resolve(bytes));
    body.once('error', reject);
  });
}

async function compare(row, bare, ours, size, concurrency, rounds, seconds) {
  await run(bare, size, concurrency, seconds / 2);
  await run(ours, size, concurrency, seconds / 2);
  const pairs = [];
  for (let turn = 0; turn < rounds; turn++) {
    // Who goes first changes, so that what the other leaves behind (garbage, a busy neighbour) hits both alike.
    const first = turn % 2 ? ours : bare;
    const second = turn % 2 ? bare : ours;
    const a = await run(first, size, concurrency, seconds);
    const b = await run(second, size, concurrency, seconds);
    pairs.push(turn % 2 ? { bare: b, ours: a } : { bare: a, ours: b });
  }
  const ratio = median(pairs.map((pair) => pair.ours.perSecond / pair.bare.perSecond));
  const cpuRatio = median(pairs.map((pair) => pair.ours.cpuMicros / pair.bare.cpuMicros));
  const result = {
    row,
    ratio: round(ratio, 3),
    cpuRatio: round(cpuRatio, 3),
    bare: {
      perSecond: round(median(pairs.map((p) => p.bare.perSecond)), 0),
      cpuMicros: round(median(pairs.map((p) => p.bare.cpuMicros)), 1),
    },
    ours: {
      perSecond: round(median(pairs.map((p) => p.ours.perSecond)), 0),
      cpuMicros: round(median(pairs.map((p) => p.ours.cpuMicros)), 1),
    },
  };
  console.log(
    `${row.padEnd(26)} ${result.ratio.toFixed(3)} of undici (at least ${TARGET}), processor time ${result.cpuRatio.toFixed(3)}; ` +
      `${result.ours.perSecond}/s, ${result.ours.cpuMicros} µs; undici ${result.bare.perSecond}/s, ${result.bare.cpuMicros} µs`,
  );
  return result;
}

/** Calls a second, and the processor time of this process for each. */
async function run(call, size, concurrency, seconds) {
  let calls = 0;
  const end = performance.now() + seconds * 1000;
  const begun = performance.now();
  const cpu = process.cpuUsage();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (performance.now() < end) {
        if ((await call()) !== size) throw new Error('a body of another length');
        calls++;
      }
    }),
  );
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: (calls / (performance.now() - begun)) * 1000, cpuMicros: (user + system) / calls };
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
