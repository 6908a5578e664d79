import { expect, it } from 'vitest';
import { runTestsWith } from './testing/run-tests-with.mjs';

const REPORTER = `
  import StalledFiles from '${new URL('stalled-files.mjs', import.meta.url).href}';
  export default class extends StalledFiles { constructor() { super({ limitMs: 5000 }); } }`;

it('ends tests whose own time limit can not, and says which', { timeout: 180_000 }, async () => {
  const sleeps = "process.getBuiltinModule('node:child_process').execFileSync('sleep', ['600'])";
  const { code, said } = await runTestsWith(REPORTER, { passes: '', sleeps, spins: 'for (;;);' });
  expect(code).toBe(1);
  expect(said).toMatch(/^unfinished: spins\.test\.mjs: stands still for \d+ s, before its first test$/m);
  expect(said).toMatch(/^unfinished: {3}\d+ +\d+ .* sleep 600$/m);
  expect(said).toMatch(/^unfinished: +(\d+) +\1 R\S* +[\d:]+ +\S+ +\S+/m); // The thread that spins.
  expect(said).toMatch(/FAIL .*sleeps\.test\.mjs > sleeps/); // By itself, as soon as the command is ended.
  expect(said).toMatch(/Tests .*1 failed.*1 passed/);
});

it('says nothing where tests end', async () => {
  const { code, said } = await runTestsWith(REPORTER, { passes: '' });
  expect(code).toBe(0);
  expect(said).not.toContain('stands still');
});
