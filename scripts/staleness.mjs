// What decides whether dependencies have to be installed and sources to be built again.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

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
 * The folders that the compiler builds.
 *
 * @param {string} root
 * @returns {string[]}
 */
export function builtFolders(root) {
  return readJson(join(root, 'tsconfig.json')).references.map(({ path }) => join(root, path));
}

/**
 * Changes with every edit of a source or of what the compiler is told; reads no source's content.
 *
 * @param {string} root
 */
export function sourceFingerprint(root) {
  const hash = createHash('sha256');
  const describe = (file) => {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${relative(root, file)} ${mtimeMs} ${size}\n`);
  };
  for (const file of ['tsconfig.json', 'tsconfig.base.json']) describe(join(root, file));
  for (const folder of builtFolders(root)) {
    describe(join(folder, 'tsconfig.json'));
    for (const file of filesBelow(join(folder, 'src')).filter(isSource).sort()) describe(join(folder, 'src', file));
  }
  return hash.digest('hex');
}

/**
 * What the compiler has made, so that it can be told later whether it is still there.
 *
 * @param {string} root
 * @returns {string[]}
 */
export function builtOutputs(root) {
  return builtFolders(root).flatMap((folder) => {
    const dist = join(folder, 'dist');
    return filesBelow(dist).map((file) => relative(root, join(dist, file)));
  });
}

/**
 * Whether what a stamp tells of is the build of these sources, and is whole.
 *
 * @param {string} root
 * @param {{ fingerprint: string, outputs: string[] } | undefined} stamp
 */
export function isBuilt(root, stamp) {
  // Another version of this script may have written another stamp.
  if (!Array.isArray(stamp?.outputs) || stamp.fingerprint !== sourceFingerprint(root)) return false;
  const outputs = new Set(builtOutputs(root));
  return stamp.outputs.every((file) => outputs.has(file));
}

function isSource(file) {
  return file.endsWith('.ts') && !file.endsWith('.test.ts');
}

function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}
