import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

const VITEST = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));

/**
 * Runs tests in a vitest and a folder of their own, each in a worker.
 *
 * @param {string} reporter the source of a module with a reporter, which is used beside the default one
 * @param {Record<string, string>} bodies of tests, by names
 * @returns {Promise<{ code: number, said: string }>}
 */
export async function runTestsWith(reporter, bodies) {
  const folder = mkdtempSync(join(tmpdir(), 'granary-reporter-'));
  writeFileSync(join(folder, 'reporter.mjs'), reporter);
  for (const [name, body] of Object.entries(bodies))
    writeFileSync(join(folder, `${name}.test.mjs`), `test('${name}', () => {${body}});`);
  const args = [
    'run',
    '--root',
    folder,
    '--globals',
    '--maxWorkers=3',
    '--reporter=default',
    '--reporter=./reporter.mjs',
  ];
  try {
    return await new Promise((resolve) => {
      execFile(process.execPath, [VITEST, ...args], { cwd: folder }, (error, stdout, stderr) => {
        resolve({ code: error?.code ?? 0, said: stripVTControlCharacters(stdout + stderr) });
      });
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
