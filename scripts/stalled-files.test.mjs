import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';

const VITEST = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const REPORTER = new URL('stalled-files.mjs', import.meta.url).href;

let folder;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granary-stalled-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs these tests, by the names of their files, in workers of their own. */
function runTests(files) {
  for (const [name, body] of Object.entries(files))
    writeFileSync(join(folder, `${name}.test.mjs`), `test('${name}', () => {${body}});`);
  writeFileSync(
    join(folder, 'reporter.mjs'),
    `import StalledFiles from '${REPORTER}';
     export default class extends StalledFiles { constructor() { super({ limitMs: 2000 }); } }`,
  );
  const args = [
    'run',
    '--root',
    folder,
    '--globals',
    '--maxWorkers=3',
    '--reporter=default',
    '--reporter=./reporter.mjs',
  ];
  return new Promise((resolve) => {
    execFile(process.execPath, [VITEST, ...args], { cwd: folder }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, said: stripVTControlCharacters(stdout + stderr) });
    });
  });
}

it('ends tests whose own time limit can not, and says which', async () => {
  const sleeps = "process.getBuiltinModule('node:child_process').execFileSync('sleep', ['600'])";
  const { code, said } = await runTests({ passes: '', sleeps, spins: 'for (;;);' });
  expect(code).toBe(1);
  expect(said).toMatch(/No test has ended for \d+ s\. Running: .*spins\.test\.mjs/);
  expect(said).toMatch(/^ {2}\d+ +\d+ .* sleep 600$/m);
  expect(said).toMatch(/FAIL .*sleeps\.test\.mjs > sleeps/); // By itself, as soon as the command is ended.
  expect(said).toMatch(/Tests .*1 failed.*1 passed/);
});

it('says nothing where tests end', async () => {
  const { code, said } = await runTests({ passes: '' });
  expect(code).toBe(0);
  expect(said).not.toContain('No test has ended');
});
