// node deploy/grafana/generate.mjs [--check]: writes granary.json from dashboard.mjs, or says whether it is up to date.
import { readFileSync, writeFileSync } from 'node:fs';
import { dashboard } from './dashboard.mjs';

const file = new URL('granary.json', import.meta.url);
const text = `${JSON.stringify(dashboard, null, 2)}\n`;

if (!process.argv.includes('--check')) {
  writeFileSync(file, text);
} else if (readFileSync(file, 'utf8') !== text) {
  process.stderr.write('granary.json is not what dashboard.mjs describes; run: node deploy/grafana/generate.mjs\n');
  process.exitCode = 1;
}
