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

const ENDS = "process.kill(process.pid, 'SIGKILL'); for (;;);";

/** Runs a file that breaks this many times, and one that passes, in a process that keeps what they print. */
async function runBreaking(times, { by = ENDS, stray = '', CI = 'true' } = {}) {
  const seen = JSON.stringify(join(folder, 'seen'));
  writeFileSync(
    join(folder, 'breaks.test.mjs'),
    `import { appendFileSync, readFileSync } from 'node:fs';
     beforeAll(() => {
       appendFileSync(${seen}, '.');
       if (readFileSync(${seen}).length <= ${times}) { ${by} }
     });
     test('is there', () => {});`,
  );
  writeFileSync(join(folder, 'passes.test.mjs'), `test('passes', () => {${stray}});`);
  const script = `
    import { runTests } from '${new URL('vitest.mjs', import.meta.url).href}';
    const [folder] = process.argv.slice(1);
    const ended = await runTests('in a folder', ['--root=' + folder, '--globals'], { reports: folder });
    const { passed, failures, unsteady, broken } = ended.tally;
    const [failed, again] = [failures.length + broken.size, unsteady.length];
    console.log('\\n' + JSON.stringify({ code: ended.code, passed, failed, again }));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, folder], {
    env: { ...process.env, CI },
  });
  return JSON.parse(stdout.trimEnd().split('\n').at(-1));
}

describe('a run with a file that breaks', () => {
  it.each([
    ['its worker ends', ENDS],
    ['a hook fails', "throw new Error('too slow');"],
  ])('has passed when the file passes at the second try, which is named: %s', async (_, by) => {
    expect(await runBreaking(1, { by })).toEqual({ code: 0, passed: 2, failed: 0, again: 1 });
  });

  it('has failed when it breaks again', async () => {
    expect(await runBreaking(2)).toEqual({ code: 1, passed: 1, failed: 1, again: 0 });
  });

  it('has failed when something else went wrong', async () => {
    expect(await runBreaking(1, { stray: "Promise.reject(new Error('nobody waits'))" })).toMatchObject({ code: 1 });
  });

  it('has failed outside of CI', async () => {
    expect(await runBreaking(1, { CI: '' })).toEqual({ code: 1, passed: 1, failed: 1, again: 0 });
  });
});
