// What every command of this repository needs first: dependencies as locked, and a build of the sources as they are.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

const OLDEST_NODE = [20, 19];
const MODULES = join(ROOT, 'node_modules');
const INSTALL_STAMP = join(MODULES, '.granary-installed.json');
const BUILD_STAMP = join(MODULES, '.granary-built.json');

/** What the server needs to be built and to run; nothing that only tests need. */
const RUNTIME = ['ci', '--omit=dev', '--workspace', 'packages/granary', '--include-workspace-root'];
const EVERYTHING = ['ci'];

/**
 * Installs what is missing or stale and builds what changed.
 *
 * @param {'runtime' | 'everything'} wanted
 */
export async function setUp(wanted) {
  refuseOldNode();
  const lockfile = installFingerprint();
  if (!isInstalled(lockfile, wanted) || !isBuilt()) {
    // Two commands that start at once must not install into one folder.
    await withLock(join(ROOT, '.granary', 'setup.lock'), () => {
      if (!isInstalled(lockfile, wanted)) install(lockfile, wanted);
      if (!isBuilt()) build();
    });
  }
}

function refuseOldNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  fail(`Granary needs Node ${OLDEST_NODE.join('.')} or newer; this is ${process.versions.node}.`);
}

/** Changes when other packages, or the same ones for another platform, would have to be installed. */
function installFingerprint() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`);
  for (const file of ['package-lock.json', 'package.json', ...manifests()]) hash.update(readFileSync(join(ROOT, file)));
  return hash.digest('hex');
}

function manifests() {
  const { workspaces } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  return workspaces.map((folder) => join(folder, 'package.json'));
}

function isInstalled(fingerprint, wanted) {
  const stamp = readJson(INSTALL_STAMP);
  return stamp?.fingerprint === fingerprint && (stamp.installed === 'everything' || stamp.installed === wanted);
}

function install(fingerprint, wanted) {
  console.error(wanted === 'runtime' ? 'Installing what the server needs …' : 'Installing everything …');
  // Whoever has everything keeps it when only the lock file has changed.
  const everything = wanted === 'everything' || readJson(INSTALL_STAMP)?.installed === 'everything';
  const done = spawnSync('npm', [...(everything ? EVERYTHING : RUNTIME), '--loglevel=error'], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (done.error) fail(`npm could not be started: ${done.error.message}`);
  if (done.status !== 0) fail('npm could not install the dependencies; its message is above. Nothing was started.');
  writeFileSync(INSTALL_STAMP, JSON.stringify({ fingerprint, installed: everything ? 'everything' : 'runtime' }));
}

function isBuilt() {
  return readJson(BUILD_STAMP)?.fingerprint === sourceFingerprint() && outputsExist();
}

function build() {
  const fingerprint = sourceFingerprint();
  const references = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8')).references;
  // A source that is gone would leave its output behind, and a removed output would not be made again.
  for (const { path } of references) rmSync(join(ROOT, path, 'dist'), { recursive: true, force: true });
  const done = spawnSync(process.execPath, [join(MODULES, 'typescript/bin/tsc'), '-b'], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
  });
  if (done.status !== 0) fail('The sources do not compile; the messages are above.');
  writeFileSync(BUILD_STAMP, JSON.stringify({ fingerprint }));
}

/** Changes with every edit of a source or of what the compiler is told; reads no file's content. */
function sourceFingerprint() {
  const hash = createHash('sha256');
  for (const file of ['tsconfig.json', 'tsconfig.base.json']) hash.update(described(join(ROOT, file)));
  for (const name of readdirSync(join(ROOT, 'packages'))) {
    hash.update(described(join(ROOT, 'packages', name, 'tsconfig.json')));
    for (const file of sourcesBelow(join(ROOT, 'packages', name, 'src'))) hash.update(described(file));
  }
  return hash.digest('hex');
}

function described(file) {
  const { mtimeMs, size } = statSync(file);
  return `${file} ${mtimeMs} ${size}\n`;
}

function sourcesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function outputsExist() {
  return readdirSync(join(ROOT, 'packages')).every((name) => existsSync(join(ROOT, 'packages', name, 'dist/index.js')));
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function fail(message) {
  console.error(`\n${message}`);
  process.exit(1);
}

mkdirSync(join(ROOT, '.granary'), { recursive: true });
