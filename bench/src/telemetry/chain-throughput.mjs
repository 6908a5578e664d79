// What is left of the throughput of a cache chain's hits with metrics and logs at information on, beside the same chain with
// nobody who watches it. A chain makes spans only of loads, so hits have none.
import { fileURLToPath } from 'node:url';
import { median } from '../contest.mjs';
import { runToEnd } from '../process.mjs';

const AT_LEAST = 0.95;
/** An even number: which of the two is made first takes turns. Each process compiles what it runs in its own way. */
const PROCESSES = 6;
const LAYERS = ['memory', 'disk'];

const program = fileURLToPath(new URL('../chain-hits.mjs', import.meta.url));

export async function throughputRows() {
  const rows = [];
  for (const layer of LAYERS) {
    const values = [];
    for (let i = 0; i < PROCESSES; i++) {
      const made = i % 2 === 1 ? ['watched', 'unwatched'] : ['unwatched', 'watched'];
      values.push(Number(await runToEnd(process.execPath, [program, layer, ...made])));
    }
    const row = `chain, hit ${layer === 'memory' ? 'in memory' : 'on the disk'}, awaited: throughput that is left`;
    rows.push({ row, unit: '×', atLeast: AT_LEAST, value: median(values), byProcess: values });
  }
  return rows;
}
