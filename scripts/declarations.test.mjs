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

const entryPoints = packages
  .flatMap(({ name, exports }) => Object.keys(exports).map((entry) => `${name}${entry.slice(1)}`))
  .filter((name) => !NAMES_LMDB.includes(name));

/** A program that hands on all that an entry point exports, and what its classes have, without saying of which types. */
async function handsOn(name) {
  const exported = Object.entries(await import(name)).flatMap(([key, value]) => {
    if (typeof value !== 'function' || !`${value}`.startsWith('class')) return [`all.${key}`];
    const statics = Object.getOwnPropertyNames(value).filter((own) => !(own in Function.prototype));
    const members = Object.getOwnPropertyNames(value.prototype).filter((member) => member !== 'constructor');
    // The fields are what is left of a class when it is spread.
    const own = [`({ ...all.${key}.prototype })`, ...statics.map((member) => `all.${key}.${member}`)];
    return own.concat(members.map((member) => `all.${key}.prototype.${member}`));
  });
  return [`import * as all from '${name}';`, ...exported.map((what, i) => `export const what${i} = () => ${what};`)];
}

describe('the declarations of all packages', () => {
  let folder;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'granary-declarations-'));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction');
    const uses = entryPoints.map((name, i) => `export * as used${i} from '${name}';\n`);
    writeFileSync(join(folder, 'uses.mts'), uses.join(''));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['node16', 'node16'],
    ['bundler', 'esnext'],
  ])(
    'compile with the resolution %s',
    (moduleResolution, module) => {
      expect(compile(folder, ['uses.mts'], { noEmit: true, moduleResolution, module })).toBe('');
    },
    120_000,
  );

  it('have names for the types of all that they declare', async () => {
    const files = entryPoints.map((_, i) => `hands-on-${i}.mts`);
    for (const [i, name] of entryPoints.entries()) {
      writeFileSync(join(folder, files[i]), (await handsOn(name)).join('\n'));
    }
    const options = { declaration: true, emitDeclarationOnly: true, outDir: 'declared', module: 'node16' };
    const mistakes = compile(folder, files, options).split('\n');
    // Of our own: those of what they depend on have names there.
    expect(mistakes.filter((line) => /cannot be named .*node_modules\/@?granary\//.test(line))).toEqual([]);
  }, 120_000);
});

/** What the compiler says of these files. */
function compile(folder, files, options) {
  const compilerOptions = { strict: true, target: 'es2023', types: ['node'], ...options };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  return run(join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder);
}

/** What it says of mistakes. */
function run(...args) {
  try {
    return execFileSync(process.execPath, args, { encoding: 'utf8' });
  } catch (error) {
    return error.stdout;
  }
}
