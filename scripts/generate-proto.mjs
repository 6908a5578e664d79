// Generates packages/reapi/src/gen from packages/reapi/proto, offline.
//
//   node scripts/generate-proto.mjs           writes what changed
//   node scripts/generate-proto.mjs --check   fails when src/gen is not what the .proto files say
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules/.bin');
const target = join(root, 'packages/reapi/src/gen');

/** TypeScript enums need a compiler to run; the same names as a constant object and a union of its values don't. */
function withoutEnums(source) {
  return source.replace(
    /^export enum (\w+) \{\n([\s\S]*?)^\}$/gm,
    (_, name, members) =>
      `export const ${name} = {\n${members.replace(/^( {2}\w+) = (-?\d+),$/gm, '$1: $2,')}} as const;\n\n` +
      `export type ${name} = (typeof ${name})[keyof typeof ${name}];`,
  );
}

async function filesOf(directory) {
  if (!existsSync(directory)) return new Map();
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(paths.sort().map(async (path) => [path.slice(directory.length), await readFile(path, 'utf8')])),
  );
}

const scratch = await mkdtemp(join(tmpdir(), 'granary-proto-'));
try {
  execFileSync(join(bin, 'buf'), ['generate', '--output', scratch], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  });
  const fresh = join(scratch, 'packages/reapi/src/gen');
  for (const [path, source] of await filesOf(fresh)) await writeFile(join(fresh, path), withoutEnums(source));

  if (process.argv.includes('--check')) {
    const [wanted, found] = await Promise.all([filesOf(fresh), filesOf(target)]);
    const stale = [...new Set([...wanted.keys(), ...found.keys()])].filter(
      (path) => wanted.get(path) !== found.get(path),
    );
    for (const path of stale) console.error(`packages/reapi/src/gen${path} is not what the .proto files say`);
    if (stale.length > 0) {
      console.error('run: node scripts/generate-proto.mjs');
      process.exitCode = 1;
    }
  } else {
    await rm(target, { recursive: true, force: true });
    await cp(fresh, target, { recursive: true });
  }
} finally {
  await rm(scratch, { recursive: true, force: true });
}
