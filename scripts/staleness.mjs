// What decides whether dependencies have to be installed and sources to be built again.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';

const SERVER = 'packages/granary';

/** @typedef {'runtime' | 'everything'} Extent What is installed: what the server needs, or what tests need too. */

/**
 * Changes when other packages, or the same ones for another platform, have to be installed.
 *
 * @param {string} root
 */
export function installFingerprint(root) {
  const { workspaces } = readJson(join(root, 'package.json'));
  const manifests = workspaces.map((folder) => join(folder, 'package.json'));
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`);
  for (const file of ['package-lock.json', 'package.json', ...manifests]) hash.update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/**
 * Whether what a stamp tells of is enough.
 *
 * @param {{ fingerprint: string, installed: Extent } | undefined} stamp
 * @param {string} fingerprint
 * @param {Extent} wanted
 */
export function isInstalled(stamp, fingerprint, wanted) {
  return stamp?.fingerprint === fingerprint && (stamp.installed === 'everything' || stamp.installed === wanted);
}

/**
 * The folders that the compiler has to build, from the root on: the server and what it is made of, or everything. What
 * the server isn't made of may need packages that aren't installed for it.
 *
 * @param {string} root
 * @param {Extent} wanted
 * @returns {string[]}
 */
export function foldersToBuild(root, wanted) {
  if (wanted === 'everything') return referencesOf(root, '.');
  const folders = new Set([SERVER]);
  for (const folder of folders) for (const reference of referencesOf(root, folder)) folders.add(reference);
  return [...folders];
}

function referencesOf(root, folder) {
  const { references = [] } = readJson(join(root, folder, 'tsconfig.json'));
  return references.map(({ path }) => posix.join(folder, path));
}

/**
 * Changes with every edit of a source or of what the compiler is told; reads no source's content.
 *
 * @param {string} root
 * @param {string[]} folders
 */
export function sourceFingerprint(root, folders) {
  const lines = [];
  const describe = (file) => {
    const { mtimeMs, size } = statSync(`${root}/${file}`);
    lines.push(`${file} ${mtimeMs} ${size}`);
  };
  for (const file of ['tsconfig.json', 'tsconfig.base.json']) describe(file);
  for (const folder of folders) {
    describe(`${folder}/tsconfig.json`);
    for (const [inner, names] of filesBelow(root, `${folder}/src`))
      for (const name of names.filter(isSource).sort()) describe(`${inner}/${name}`);
  }
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}

/** @typedef {Record<string, string[]>} Outputs Names of files by their folder, which is named from the root on. */

/**
 * What the compiler has made, so that it can be told later whether it is still there.
 *
 * @param {string} root
 * @param {string[]} folders
 * @returns {Outputs}
 */
export function builtOutputs(root, folders) {
  return Object.fromEntries(folders.flatMap((folder) => [...filesBelow(root, `${folder}/dist`)]));
}

/**
 * Whether what a stamp tells of is the build of these sources, and is whole.
 *
 * @param {string} root
 * @param {{ folders: string[], fingerprint: string, files: Outputs } | undefined} stamp
 * @param {Extent} wanted
 */
export function isBuilt(root, stamp, wanted) {
  // Another version of this script may have written another stamp, and a folder of it may be gone.
  if (!stamp?.files || !stamp.folders?.every((folder) => existsSync(join(root, folder, 'tsconfig.json')))) return false;
  if (!foldersToBuild(root, wanted).every((folder) => stamp.folders.includes(folder))) return false;
  if (stamp.fingerprint !== sourceFingerprint(root, stamp.folders)) return false;
  return Object.entries(stamp.files).every(([folder, made]) => {
    const there = new Set(namesIn(`${root}/${folder}`));
    return made.every((name) => there.has(name));
  });
}

function isSource(name) {
  return name.endsWith('.ts') && !name.endsWith('.test.ts');
}

/** The folder and those below it that hold files, each with the names of its files. */
function* filesBelow(root, folder) {
  const entries = entriesOf(`${root}/${folder}`);
  const files = entries.filter((entry) => entry.isFile());
  if (files.length > 0) yield [folder, files.map(({ name }) => name)];
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  for (const name of folders.sort()) yield* filesBelow(root, `${folder}/${name}`);
}

function entriesOf(folder) {
  return existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [];
}

function namesIn(folder) {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}
