// npm run bench -- telemetry [--only PART --rounds N --ms M --seconds S]: what metrics, logs and traces cost for each call,
// and what they leave of the throughput. Every file of bench/src/telemetry is a part: its CONTENDERS take turns, and its
// ROWS are what is wanted of them.
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { contest, report } from './src/contest.mjs';

const parts = new URL('src/telemetry/', import.meta.url);

const { values: options } = parseArgs({
  strict: false,
  options: {
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '4' },
  },
});
const [rounds, seconds] = [Number(options.rounds), Number(options.seconds)];

for (const file of readdirSync(parts).sort()) {
  const part = file.replace(/\.mjs$/, '');
  if (!part.includes(options.only)) continue;
  const { CONTENDERS, ROWS, scrapeRows, throughputRows } = await import(new URL(file, parts));
  console.log(`\n${part}`);
  if (CONTENDERS) await contest(`telemetry-${part}`, CONTENDERS, ROWS);
  if (scrapeRows) report(`telemetry-${part}-scrape`, await scrapeRows(), {});
  if (throughputRows) report(`telemetry-${part}`, await throughputRows({ rounds, seconds }), {});
}
