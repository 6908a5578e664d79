// npm run bench -- telemetry [--rounds N --ms M]: what metrics, logs and traces cost for each call. Every file of
// bench/src/telemetry is a part: its CONTENDERS take turns, and its ROWS are what is wanted of them.
import { readdirSync } from 'node:fs';
import { contest, report } from './src/contest.mjs';

const parts = new URL('src/telemetry/', import.meta.url);

for (const file of readdirSync(parts).sort()) {
  const { CONTENDERS, ROWS, scrapeRows } = await import(new URL(file, parts));
  const part = file.replace(/\.mjs$/, '');
  console.log(`\n${part}`);
  await contest(`telemetry-${part}`, CONTENDERS, ROWS);
  if (scrapeRows) report(`telemetry-${part}-scrape`, await scrapeRows(), {});
}
