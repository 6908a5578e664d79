// npm run bench [-- cache | http-client | memory | nuget | nuget-registration | nuget-versions | resilience | start | telemetry]
// [-- --rows PATTERN …]

import { run } from './run.mjs';
import { ROOT, setUp } from './setup.mjs';

const OTHERS = [
  'cache',
  'http-client',
  'memory',
  'nuget',
  'nuget-registration',
  'nuget-versions',
  'resilience',
  'start',
  'telemetry',
];

await setUp('everything');
const [first, ...rest] = process.argv.slice(2);
const args = OTHERS.includes(first) ? [`bench/${first}.mjs`, ...rest] : ['bench/run.mjs', ...process.argv.slice(2)];
process.exitCode = await run('bench', process.execPath, args, { cwd: ROOT }).then(({ code }) => code);
