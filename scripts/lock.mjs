import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Nobody installs and builds for so long: the lock's process number must be another program's by now. */
const ABANDONED_AFTER_MS = 15 * 60_000;
const SAY_SO_AFTER_MS = 1000;

/**
 * Runs `work` while no other process runs under the same lock file. A lock whose process is gone is taken over.
 *
 * @template T
 * @param {string} file
 * @param {() => T | Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(file, work) {
  mkdirSync(dirname(file), { recursive: true });
  const begun = Date.now();
  let said = false;
  while (!take(file)) {
    const holder = read(file);
    if (holder === undefined) continue;
    if (isAbandoned(holder)) remove(file, holder);
    else await sleep(50);
    if (!said && Date.now() - begun > SAY_SO_AFTER_MS) {
      said = true;
      console.error(`Waiting for another command that installs or builds (process ${holder.pid}) …`);
    }
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

function take(file) {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

/** Who holds a lock, since when; undefined when nobody does any more. */
function read(file) {
  try {
    return { pid: Number(readFileSync(file, 'utf8')), since: statSync(file).mtimeMs };
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isAbandoned({ pid, since }) {
  if (Date.now() - since > ABANDONED_AFTER_MS) return true;
  try {
    if (pid > 0) process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

/** Removes an abandoned lock, but not the one that somebody else, who found the same, has put in its place meanwhile. */
function remove(file, holder) {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch {
    return;
  }
  if (read(aside)?.pid === holder.pid) rmSync(aside, { force: true });
  else renameSync(aside, file);
}
