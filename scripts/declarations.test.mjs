// What the packages declare is read by the compilers of programs that use them, and those check it, as TypeScript does
// unless it is told otherwise.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from './setup.mjs';

const NAMED = /\b(?:from|import\(|import) ?['"]([^'"]+)['"]/g;
const COMMENT = /\/\*.*?\*\//gs;

const packages = readdirSync(join(ROOT, 'packages')).map((folder) => {
  const path = join(ROOT, 'packages', folder);
  return { path, ...JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) };
});

/** What hands out LMDB itself, whose binding declares what no program of ES modules may. */
const NAMES_LMDB = ['@granary/cache/lmdb'];

/** The packages that a declaration names, and those that it leads to. */
function namedBy(file, seen = new Set()) {
  if (seen.has(file)) return [];
  seen.add(file);
  const text = readFileSync(file, 'utf8').replaceAll(COMMENT, '');
  return [...text.matchAll(NAMED)].flatMap(([, name]) => {
    return name.startsWith('.') ? namedBy(join(dirname(file), name.replace(/\.js$/, '.d.ts')), seen) : [name];
  });
}

describe.each(packages)('the declarations of $name', ({ path, exports, peerDependencies = {} }) => {
  it('name no package that only some install', () => {
    // It comes with prom-client.
    const { '@opentelemetry/api': _, ...optional } = peerDependencies;
    const named = namedBy(join(path, exports['.'].types));
    expect(Object.keys(optional).filter((name) => named.includes(name))).toEqual([]);
  });
});

describe('the declarations of all packages', () => {
  let folder;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'granary-declarations-'));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction');
    const names = packages.flatMap(({ name, exports }) => {
      const entries = Object.keys(exports).filter((entry) => !NAMES_LMDB.includes(`${name}${entry.slice(1)}`));
      return entries.map((entry) => `${name}${entry.slice(1)}`);
    });
    const uses = names.map((name, i) => `export * as used${i} from '${name}';\n`);
    writeFileSync(join(folder, 'uses.mts'), uses.join(''));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['node16', 'node16'],
    ['bundler', 'esnext'],
  ])(
    'compile with the resolution %s',
    (moduleResolution, module) => {
      const options = { strict: true, noEmit: true, target: 'es2023', types: ['node'], moduleResolution, module };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['uses.mts'] }));
      const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
      expect(run(compiler, '-p', folder)).toBe('');
    },
    120_000,
  );
});

/** What it says of mistakes. */
function run(...args) {
  try {
    return execFileSync(process.execPath, args, { encoding: 'utf8' });
  } catch (error) {
    return error.stdout;
  }
}
