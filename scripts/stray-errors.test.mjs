import { expect, it } from 'vitest';
import { runTestsWith } from './testing/run-tests-with.mjs';

const REPORTER = `export { default } from '${new URL('stray-errors.mjs', import.meta.url).href}';`;

it.each([
  ['a promise that nobody waits for', "Promise.reject(new TypeError('lost'))", /^failed: .*: TypeError: lost$/m],
  ['a worker that ended', "process.kill(process.pid, 'SIGKILL'); for (;;);", /^unfinished: .*Worker/m],
])('says which error no test had: %s', async (_, body, line) => {
  const { code, said } = await runTestsWith(REPORTER, { strays: body });
  expect(code).toBe(1);
  expect(said).toMatch(line);
});

it('says nothing of a test that fails', async () => {
  const { code, said } = await runTestsWith(REPORTER, { fails: "throw new Error('its own')" });
  expect(code).toBe(1);
  expect(said).not.toMatch(/^(failed|unfinished): /m);
});
