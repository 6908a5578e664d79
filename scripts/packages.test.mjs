// What a package's archive holds, and that whoever installs it alone can import it.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from './setup.mjs';

/** What is loaded with a module, and what it may ask for later besides. */
const LOADED = /^(?:import|export)\b(?:[^'";=]* from)? ['"]([^'"]+)['"]/gm;
const ASKED = /^(?:import|export)\b(?:[^'";=]* from)? ['"]([^'"]+)['"]|\bimport\(['"]([^'"]+)['"]\)/gm;

const packages = readdirSync(join(ROOT, 'packages')).map((folder) => {
  const path = join(ROOT, 'packages', folder);
  return { path, ...JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) };
});

/** What modules lead to: files of their package, and what those import by name. */
function reachedFrom(entries, imports) {
  const files = new Set();
  const names = new Set();
  const waiting = [...entries];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    for (const [, loaded, name = loaded] of readFileSync(file, 'utf8').matchAll(imports)) {
      const path = join(dirname(file), file.endsWith('.d.ts') ? name.replace(/\.js$/, '.d.ts') : name);
      if (!name.startsWith('.')) names.add(name);
      else if (existsSync(path)) waiting.push(path);
    }
  }
  return { files, names };
}

const entriesOf = ({ path, exports, bin = {} }) => [
  ...Object.values(exports).map((entry) => join(path, entry.default)),
  ...Object.values(bin).map((entry) => join(path, entry)),
];

const declarationsOf = ({ path, exports }) => Object.values(exports).map(({ types }) => join(path, types));

/** What a file of an archive was made of, or is. */
const moduleOf = (path) => path.replace(/^(dist|src)\//, '').replace(/(\.d)?\.[jt]s(\.map)?$/, '');

/** The packages without which `name`, an entry of one of ours, can't be loaded, and which it leaves to who imports it. */
function peersBehind(name, seen = new Set()) {
  const ours = packages.find((candidate) => name === candidate.name || name.startsWith(`${candidate.name}/`));
  if (!ours || seen.has(name)) return [];
  seen.add(name);
  const entry = ours.exports[`.${name.slice(ours.name.length)}`];
  const { names } = reachedFrom([join(ours.path, entry.default)], LOADED);
  const peers = Object.keys(ours.peerDependencies ?? {});
  const own = peers.filter((peer) => [...names].some((used) => used === peer || used.startsWith(`${peer}/`)));
  const given = Object.keys(ours.dependencies ?? {});
  const others = [...names].flatMap((used) => peersBehind(used, seen)).filter((peer) => !given.includes(peer));
  return [...own, ...others];
}

describe.each(packages)('the archive of $name', (manifest) => {
  let packed;
  beforeAll(() => {
    const listing = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: manifest.path,
      encoding: 'utf8',
      shell: process.platform === 'win32',
    });
    packed = JSON.parse(listing)[0].files.map(({ path }) => path);
  });

  it('has its license, which is that of the project, and its README', () => {
    expect(['LICENSE', 'README.md'].filter((file) => !packed.includes(file))).toEqual([]);
    const license = (path) => readFileSync(join(path, 'LICENSE'), 'utf8');
    expect(license(manifest.path)).toBe(license(ROOT));
  });

  it('has no tests, nothing that only they use, and no notes of the compiler', () => {
    const { files } = reachedFrom([...entriesOf(manifest), ...declarationsOf(manifest)], ASKED);
    const reached = [...files].map((file) => relative(manifest.path, file));
    const exported = new Set(reached.map((file) => moduleOf(file.replaceAll('\\', '/'))));
    const isForTests = (path) => path.includes('/testing/') && !exported.has(moduleOf(path));
    const needless = (path) => /\.test\.|\.tsbuildinfo$/.test(path) || isForTests(path);
    expect(packed.filter(needless)).toEqual([]);
  });
});

it.each(packages)('$name declares what the entries of our packages that it imports leave to it', (manifest) => {
  const { names } = reachedFrom(entriesOf(manifest), ASKED);
  const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
  const needed = [...names].flatMap((name) => peersBehind(name));
  expect([...new Set(needed)].filter((peer) => !declared.includes(peer))).toEqual([]);
});
