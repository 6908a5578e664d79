import { mkdtempSync, rmSync } from 'node:fs';
import { freePort, runToEnd, startServer } from './src/process.mjs';
import { ROWS } from './src/requests.mjs';

const [pattern = '', seconds = '2', rounds = '3', prof] = process.argv.slice(2);
const dir = mkdtempSync('/tmp/gb/s-');
const fp = [await freePort(), await freePort()],
  gp = await freePort();
const floor = await startServer(process.execPath, ['src/tmp-floor.mjs', ...fp.map(String)], fp);
const mine = await startServer(
  process.execPath,
  [...(prof ? ['--cpu-prof', '--cpu-prof-dir=/tmp/gb/prof'] : []), 'src/tmp-server.mjs', String(gp), dir],
  [gp],
);
const load = async (grpcPort, job) =>
  JSON.parse(await runToEnd(process.execPath, ['src/load.mjs', JSON.stringify({ ...job, grpc: grpcPort })]));
try {
  await load(gp, { seed: true });
  let first = 0;
  for (const row of ROWS.filter((r) => r.grpc && r.name.includes(pattern))) {
    const f = [],
      g = [];
    for (let i = 0; i < +rounds; i++) {
      for (const [s, p, a] of [
        [floor, fp[0], f],
        [mine, gp, g],
      ]) {
        const c = s.cpuSeconds();
        const d = await load(p, { row: row.name, seconds: +seconds, first });
        first += row.operations ?? 0;
        a.push([d.operations / d.seconds, ((s.cpuSeconds() - c) / d.operations) * 1e6]);
      }
    }
    const med = (x, k) => x.map((v) => v[k]).sort((a, b) => a - b)[x.length >> 1];
    console.log(
      row.name.padEnd(28),
      'floor/s',
      med(f, 0).toFixed(1),
      'mine/s',
      med(g, 0).toFixed(1),
      'ratio',
      (med(g, 0) / med(f, 0)).toFixed(2),
      'wanted',
      row.atLeast,
      'cpuµs',
      med(f, 1) | 0,
      med(g, 1) | 0,
    );
  }
} finally {
  await mine.stop();
  await floor.stop();
  rmSync(dir, { recursive: true });
}
