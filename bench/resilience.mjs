// npm run bench -- resilience [--rounds N --ms M]: what the policies cost for each call, beside those of others. All
// contenders take turns, round by round, so that a drift of the machine's speed hits all alike; figures are medians of
// the rounds. Prints tables and writes bench/results/resilience.json.
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measure } from 'mitata';
import { CONTENDERS, ROWS } from './src/resilience.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, ms: { type: 'string', default: '100' } },
});
const rounds = Number(options.rounds);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const contenders = Object.entries(CONTENDERS).map(([name, make]) => ({ name, run: make() }));
/** Nanoseconds by contender, for each round. */
const measured = [];
// The first round only makes the functions hot. Samples are short, so that few of them are interrupted by other work.
for (let round = 0; round <= rounds; round++) {
  const ns = {};
  for (const { name, run } of round % 2 ? contenders.toReversed() : contenders) {
    const { p50 } = await measure(run, { min_cpu_time: Number(options.ms) * 1e6, batch_samples: 512, gc: false });
    ns[name] = p50;
  }
  if (round > 0) measured.push(ns);
}
for (const { run } of contenders) run.close?.();

const figures = Object.fromEntries(contenders.map(({ name }) => [name, median(measured.map((ns) => ns[name]))]));
const report = ROWS.map(({ row, unit, atMost, atLeast, of }) => {
  const value = median(measured.map(of));
  const met = atMost === undefined ? value >= atLeast : value <= atMost;
  return { row, value, unit, ...(atMost === undefined ? { atLeast } : { atMost }), met };
});
console.table(contenders.map(({ name }) => ({ contender: name, 'ns a call': round1(figures[name]) })));
console.table(
  report.map(({ row, value, unit, atMost, atLeast, met }) => ({
    row,
    measured: `${round1(value)} ${unit}`,
    wanted: atMost === undefined ? `at least ${atLeast} ${unit}` : `at most ${atMost} ${unit}`,
    '': met ? 'met' : 'missed',
  })),
);
mkdirSync(here('results'), { recursive: true });
const result = { node: process.version, rounds, report, figures };
writeFileSync(here('results/resilience.json'), `${JSON.stringify(result, null, 2)}\n`);

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function round1(value) {
  return Number(value.toFixed(1));
}
