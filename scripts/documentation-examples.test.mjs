// Examples in the pages that begin with an import are whole: what they import is there, and they run as they stand.
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from './setup.mjs';

const AsyncFunction = (async () => {}).constructor;
const IMPORT = /^import (?:\{([^}]+)\}|\* as (\w+)) from '(.+)';(.*)$/gm;
const WORKING_DIRECTORY = process.cwd();

const pages = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs')).flatMap((name) => (name.endsWith('.md') ? `docs/${name}` : [])),
  ...readdirSync(join(ROOT, 'packages')).map((name) => `packages/${name}/README.md`),
];

const examples = pages.flatMap((page) => {
  const blocks = readFileSync(join(ROOT, page), 'utf8').matchAll(/^```[jt]s\n(.+?)^```$/gms);
  const codes = [...blocks].map(([, code]) => code).filter((code) => /^(?:\/\/.*\n)?import /.test(code));
  return codes.map((code, index) => ({ name: `${page}, ${index + 1}`, code }));
});

/** Those that need a server, the internet, much time or the terminal, and those that tests of their package run. */
const NOT_HERE = [
  /^docs\/(?:cache-invalidation|cache-redis|tier-\w+|tiers|http-client|profiling)\.md/,
  /^docs\/nuget-|^packages\/(?:granary|nuget|nuget-proxy|reapi)\//,
  /^packages\/http\/README\.md, 2$/,
  /^packages\/telemetry\/README\.md, [16]$/,
];

// One for all: the next example of a page may look at what the one before it has left.
let folder;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'granary-documentation-'));
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(WORKING_DIRECTORY);
  rmSync(folder, { recursive: true, force: true });
});

/** Runs an example; answers with what it printed. */
async function run(code) {
  const body = code
    .replaceAll(IMPORT, (_, names, all, from, rest) => {
      return `const ${all ?? `{${names}}`} = await $import('${from}');${rest}`;
    })
    .replaceAll(/^export /gm, '')
    .replaceAll(/\b81\d\d\b/g, `${await freePort()}`);
  const printed = [];
  const print = (...values) => void printed.push(values.join(' '));
  await new AsyncFunction('$import', 'console', body)((name) => import(name), { log: print, error: print });
  return printed;
}

async function freePort() {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

describe('the examples', () => {
  it.each(examples)('$name imports what there is', async ({ code }) => {
    for (const [, names, , from] of code.matchAll(IMPORT)) {
      const module = await import(from);
      for (const name of names?.split(',') ?? []) expect(module).toHaveProperty(name.trim());
    }
  });

  const whole = examples.filter(({ name }) => !NOT_HERE.some((pattern) => pattern.test(name)));
  it.each(whole)('$name runs as it stands', async ({ code }) => {
    const printed = await run(code);
    expect(printed.length > 0).toBe(/console\.(?:log|error)\(/.test(code));
  });
});
