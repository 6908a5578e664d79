import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Logger } from '@granary/telemetry';
import { Yielder } from '../yielding.js';
import type { Catalog } from './catalog.js';
import { ReusedKeys } from './entry-key.js';
import { EntryDecoder } from './record-stream.js';

const BATCH = 256;
/** Fewer entries than these are read faster than a process starts. */
const MANY = 50_000;
/** How long the other process may be silent. */
const SILENT_MS = 10_000;
/** More that is removed while the other process reads is not remembered. */
const MOST_REMOVED = 100_000;

export interface LoadOptions {
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Whether another process may read the index. */
  readonly inOtherProcess: boolean;
}

/**
 * Fills the table from the database while the store serves already, in slices of a few milliseconds, then lets
 * the table alone answer. Decision 003 says what that costs, and what another process is for.
 *
 * @returns false when the signal ended it
 */
export async function loadTable(catalog: Catalog, options: LoadOptions): Promise<boolean> {
  const { signal, logger } = options;
  // The answers that wait for the store to be open come first.
  await setImmediate();
  let malformed: number | undefined;
  if (options.inOtherProcess && catalog.database.recordCount >= MANY) {
    try {
      malformed = await loadFromProcess(catalog, signal);
    } catch (error) {
      if (!signal.aborted) logger.debug('Another process could not read the index, so this one does', error);
    }
  }
  malformed ??= await loadHere(catalog, signal);
  if (signal.aborted) return false;
  if (malformed > 0) logger.warning('The index has {Malformed} malformed records, which count as missing', malformed);
  catalog.finishLoading();
  return true;
}

/** Returns how many records are malformed. */
async function loadHere(catalog: Catalog, signal: AbortSignal): Promise<number> {
  const yielder = new Yielder();
  const keys = new ReusedKeys();
  let malformed = 0;
  let after: Buffer | undefined;
  while (!signal.aborted) {
    let last: Buffer | undefined;
    for (const { key: bytes, record } of catalog.database.recordsAfter(after, BATCH)) {
      const key = keys.parse(bytes);
      if (key && record) catalog.load(key, record);
      else malformed++;
      last = bytes;
    }
    if (!last) break;
    after = last;
    await yielder.pause();
  }
  return malformed;
}

/**
 * The same, read by a process of its own: the pages of the index that it maps to read all of it are not counted as this
 * one's, and this one has little to do.
 *
 * @throws Error when the process can't be started, fails or is silent for too long
 */
async function loadFromProcess(catalog: Catalog, signal: AbortSignal): Promise<number> {
  const release = catalog.database.hold();
  try {
    return await loadFromChild(startReading(catalog.database.directory), catalog, signal);
  } finally {
    release();
  }
}

async function loadFromChild({ stdout, ...child }: Child, catalog: Catalog, signal: AbortSignal): Promise<number> {
  if (!stdout) {
    await child.ended;
    throw new Error('file descriptors are short');
  }
  // The process notices at its next write.
  const stop = () => stdout.destroy();
  signal.addEventListener('abort', stop);
  catalog.expectOldRecords(true);
  const yielder = new Yielder();
  const decoder = new EntryDecoder();
  try {
    signal.throwIfAborted();
    for await (const chunk of stdout as AsyncIterable<Buffer>) {
      child.patience.refresh();
      decoder.decode(chunk, (key, record) => catalog.load(key, record));
      if (catalog.removedMeanwhile > MOST_REMOVED) throw new Error('too much is being removed');
      await yielder.pause();
    }
    if (decoder.malformed === undefined) throw new Error('the process that reads the index ended early');
    return decoder.malformed;
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
    await child.ended;
    catalog.expectOldRecords(false);
  }
}

interface Child {
  /** What it says; undefined where there was no file descriptor for it. */
  readonly stdout: Readable | undefined;
  readonly ended: Promise<unknown>;
  /** Ends it. */
  readonly patience: NodeJS.Timeout;
}

function startReading(directory: string): Child {
  const script = fileURLToPath(new URL('./records-process.js', import.meta.url));
  const child = spawn(process.execPath, [script, directory], {
    stdio: ['ignore', 'pipe', 'ignore'],
    // Whatever watches this process has nothing to do with the other.
    env: { ...process.env, NODE_OPTIONS: '' },
    windowsHide: true,
  });
  const patience = setTimeout(() => child.kill('SIGKILL'), SILENT_MS);
  const ended = once(child, 'close')
    .catch(() => {})
    .finally(() => clearTimeout(patience));
  return { stdout: child.stdout, ended, patience };
}
