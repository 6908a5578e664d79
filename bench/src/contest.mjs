// Compares functions that do the same with Granary, with a peer, or without any: nanoseconds a call. All contenders take
// turns, round by round, so that a drift of the machine's speed hits all alike; figures are medians of the rounds.
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measure } from 'mitata';

/**
 * Prints tables and writes bench/results/NAME.json. The command line may have --rounds N and --ms M (processor time for
 * each contender and round).
 *
 * @param {string} name
 * @param {Record<string, () => (() => unknown) & { close?: () => unknown }>} makers by the contender's name
 * @param {{ row: string, unit: string, atMost?: number, atLeast?: number, of: (ns: Record<string, number>) => number }[]} rows
 */
export async function contest(name, makers, rows) {
  const { values: options } = parseArgs({
    // What else is said is for the parts.
    strict: false,
    options: { rounds: { type: 'string', default: '7' }, ms: { type: 'string', default: '100' } },
  });
  const rounds = Number(options.rounds);
  const contenders = [];
  for (const [contender, make] of Object.entries(makers)) contenders.push({ contender, run: await make() });
  /** Nanoseconds by contender, for each round. */
  const measured = [];
  // The first round only makes the functions hot. Samples are short, so that few of them are interrupted by other work.
  for (let round = 0; round <= rounds; round++) {
    const ns = {};
    for (const { contender, run } of round % 2 ? contenders.toReversed() : contenders) {
      const { p50 } = await measure(run, { min_cpu_time: Number(options.ms) * 1e6, batch_samples: 512, gc: false });
      ns[contender] = p50;
    }
    if (round > 0) measured.push(ns);
  }
  for (const { run } of contenders) await run.close?.();
  const figures = Object.fromEntries(
    contenders.map(({ contender }) => [contender, median(measured.map((ns) => ns[contender]))]),
  );
  console.table(contenders.map(({ contender }) => ({ contender, 'ns a call': short(figures[contender]) })));
  report(
    name,
    rows.map(({ of, ...row }) => ({ ...row, value: median(measured.map(of)) })),
    { rounds, figures },
  );
}

/** Prints rows beside what is wanted of them and writes bench/results/NAME.json. */
export function report(name, rows, details) {
  const judged = rows.map((row) => ({
    ...row,
    met: row.atMost === undefined ? row.value >= row.atLeast : row.value <= row.atMost,
  }));
  console.table(
    judged.map(({ row, value, unit, atMost, atLeast, met }) => ({
      row,
      measured: `${short(value)} ${unit}`,
      wanted: atMost === undefined ? `at least ${atLeast} ${unit}` : `at most ${atMost} ${unit}`,
      '': met ? 'met' : 'missed',
    })),
  );
  const results = fileURLToPath(new URL('../results', import.meta.url));
  mkdirSync(results, { recursive: true });
  const result = { node: process.version, report: judged, ...details };
  writeFileSync(`${results}/${name}.json`, `${JSON.stringify(result, null, 2)}\n`);
}

/** What the contender costs. */
export function costs(name, atMost) {
  return { unit: 'ns', atMost, of: (ns) => ns[name] };
}

/** What it costs more than another. */
export function costsAbove(base, name, atMost) {
  return { unit: 'ns', atMost, of: (ns) => ns[name] - ns[base] };
}

/** How many times as long the peer takes. */
export function asFastAs(peer, name, atLeast) {
  return { unit: '×', atLeast, of: (ns) => ns[peer] / ns[name] };
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function short(value) {
  return Number(value.toFixed(value < 10 ? 2 : 1));
}
