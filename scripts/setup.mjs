// What every command of this repository needs first: dependencies as locked, and a build of the sources as they are.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';
import {
  builtOutputs,
  foldersToBuild,
  installFingerprint,
  isBuilt,
  isInstalled,
  sourceFingerprint,
} from './staleness.mjs';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

const OLDEST_NODE = [20, 19];
const MODULES = join(ROOT, 'node_modules');
const INSTALL_STAMP = join(MODULES, '.granary-installed.json');
const BUILD_STAMP = join(MODULES, '.granary-built.json');

/** What the server needs to be built and to run; nothing that only tests need. */
const RUNTIME = ['ci', '--omit=dev', '--workspace', 'packages/granary', '--include-workspace-root'];
const EVERYTHING = ['ci'];

/** Something that the reader of the message can do something about. */
class SetUpError extends Error {}

/**
 * Installs what is missing or stale and builds what changed. Ends the process where that can't be done.
 *
 * @param {import('./staleness.mjs').Extent} wanted
 */
export async function setUp(wanted) {
  try {
    refuseOldNode();
    const fingerprint = installFingerprint(ROOT);
    const ready = () =>
      isInstalled(readStamp(INSTALL_STAMP), fingerprint, wanted) && isBuilt(ROOT, readStamp(BUILD_STAMP), wanted);
    if (ready()) return;
    // Two commands that start at once must not install into one folder.
    await withLock(join(ROOT, '.granary', 'setup.lock'), () => {
      if (!isInstalled(readStamp(INSTALL_STAMP), fingerprint, wanted)) install(fingerprint, wanted);
      if (!isBuilt(ROOT, readStamp(BUILD_STAMP), wanted)) build(wanted);
    });
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error;
    console.error(`\n${error.message}`);
    process.exit(1);
  }
}

function refuseOldNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  throw new SetUpError(`Granary needs Node ${OLDEST_NODE.join('.')} or newer; this is ${process.versions.node}.`);
}

function install(fingerprint, wanted) {
  console.error(wanted === 'runtime' ? 'Installing what the server needs …' : 'Installing everything …');
  // Whoever has everything keeps it when only the lock file has changed.
  const everything = wanted === 'everything' || readStamp(INSTALL_STAMP)?.installed === 'everything';
  const done = spawnSync('npm', [...(everything ? EVERYTHING : RUNTIME), '--loglevel=error'], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (done.error) throw new SetUpError(`npm could not be started: ${done.error.message}`);
  if (done.status !== 0) {
    throw new SetUpError('npm could not install the dependencies; its message is above. Nothing was started.');
  }
  writeFileSync(INSTALL_STAMP, JSON.stringify({ fingerprint, installed: everything ? 'everything' : 'runtime' }));
}

function build(wanted) {
  const folders = foldersToBuild(ROOT, wanted);
  const fingerprint = sourceFingerprint(ROOT, folders);
  // A source that is gone would leave its output behind, and a removed output would not be made again.
  for (const folder of folders) rmSync(join(ROOT, folder, 'dist'), { recursive: true, force: true });
  const done = spawnSync(process.execPath, [join(MODULES, 'typescript/bin/tsc'), '-b', ...folders], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
  });
  if (done.status !== 0) throw new SetUpError('The sources do not compile; the messages are above.');
  writeFileSync(BUILD_STAMP, JSON.stringify({ folders, fingerprint, files: builtOutputs(ROOT, folders) }));
}

function readStamp(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
