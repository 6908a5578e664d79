// npm run bench [-- memory] [-- --rows PATTERN …]

import { run } from './run.mjs';
import { ROOT, setUp } from './setup.mjs';

await setUp('everything');
const [first, ...rest] = process.argv.slice(2);
const args = first === 'memory' ? ['bench/memory.mjs', ...rest] : ['bench/run.mjs', ...process.argv.slice(2)];
process.exitCode = await run('bench', process.execPath, args, { cwd: ROOT }).then(({ code }) => code);
