import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let folder;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granary-vitest-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs a test that ends its worker this many times, and one that passes, in a process that keeps what they print. */
async function runEnding(times, { stray = '', CI = 'true' } = {}) {
  const seen = JSON.stringify(join(folder, 'seen'));
  writeFileSync(
    join(folder, 'ends.test.mjs'),
    `import { appendFileSync, readFileSync } from 'node:fs';
     test('ends', () => {
       appendFileSync(${seen}, '.');
       if (readFileSync(${seen}).length <= ${times}) { process.kill(process.pid, 'SIGKILL'); for (;;); }
     });`,
  );
  writeFileSync(join(folder, 'passes.test.mjs'), `test('passes', () => {${stray}});`);
  const script = `
    import { runTests } from '${new URL('vitest.mjs', import.meta.url).href}';
    const [folder] = process.argv.slice(1);
    const ended = await runTests('in a folder', ['--root=' + folder, '--globals'], { reports: folder });
    console.log('\\n' + JSON.stringify(ended));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, folder], {
    env: { ...process.env, CI },
  });
  const { code, tally } = JSON.parse(stdout.trimEnd().split('\n').at(-1));
  return { code, passed: tally.passed, failed: tally.failures.length, unsteady: tally.unsteady.length };
}

describe('a run whose worker ended', () => {
  it('has passed when the file passes at the second try, which is named', async () => {
    expect(await runEnding(1)).toEqual({ code: 0, passed: 2, failed: 0, unsteady: 1 });
  });

  it('has failed when it ends again', async () => {
    expect(await runEnding(2)).toEqual({ code: 1, passed: 1, failed: 1, unsteady: 1 });
  });

  it('has failed when something else went wrong', async () => {
    expect(await runEnding(1, { stray: "Promise.reject(new Error('nobody waits'))" })).toMatchObject({ code: 1 });
  });

  it('has failed outside of CI', async () => {
    expect(await runEnding(1, { CI: '' })).toEqual({ code: 1, passed: 1, failed: 1, unsteady: 0 });
  });
});
