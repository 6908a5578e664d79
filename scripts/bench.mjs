// npm run bench [-- PART] [-- --rows PATTERN …]: a part is a file of bench/.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.mjs';
import { ROOT, setUp } from './setup.mjs';

const parts = readdirSync(join(ROOT, 'bench')).filter((name) => name.endsWith('.mjs'));

await setUp('everything');
const [first, ...rest] = process.argv.slice(2);
const args = parts.includes(`${first}.mjs`)
  ? [`bench/${first}.mjs`, ...rest]
  : ['bench/run.mjs', ...process.argv.slice(2)];
process.exitCode = await run('bench', process.execPath, args, { cwd: ROOT }).then(({ code }) => code);
