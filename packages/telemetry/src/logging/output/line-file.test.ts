import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LineFile } from './line-file.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'granary-lines-'));
});
afterEach(() => rm(directory, { recursive: true }));

it('a closed file leaves its descriptor to whoever has it next', async () => {
  const fd = openSync(join(directory, 'log'), 'a');
  const file = new LineFile(fd, false, true);
  await file.close();
  const next = openSync(join(directory, 'next'), 'a');
  expect(next).toBe(fd);
  file.write('too late\n');
  file.flush();
  closeSync(next);
  expect(readFileSync(join(directory, 'next'), 'utf8')).toBe('');
  expect(file.dropped).toBe(1);
});

it('a closed file is held by the process no longer', async () => {
  const listeners = process.listenerCount('exit');
  const file = new LineFile(openSync(join(directory, 'log'), 'a'), true, true);
  expect(process.listenerCount('exit')).toBe(listeners + 1);
  await file.close();
  expect(process.listenerCount('exit')).toBe(listeners);
});

// Such a pipe answers at once that it is full, as standard streams do once `process.stdout` was used.
describe.runIf(process.platform === 'linux')('a pipe whose reader has to catch up', () => {
  const LINES = Array.from({ length: 100 }, (_, i) => `${String(i).repeat(1000).slice(0, 999)}\n`);
  let fd: number;
  beforeEach(() => {
    const path = join(directory, 'pipe');
    execFileSync('mkfifo', [path]);
    fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
    closeSync(fd);
  });

  function read(): string {
    const bytes = Buffer.alloc(1024 * 1024);
    return bytes.toString('utf8', 0, readSync(fd, bytes));
  }

  /** Keeps the threads that write in the background, by pipes that nobody writes to. */
  function occupyThreads(): () => Promise<void> {
    const path = join(directory, 'idle');
    execFileSync('mkfifo', [path]);
    const opened = Array.from({ length: 4 }, () => open(path));
    return async () => {
      const writer = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
      for (const handle of await Promise.all(opened)) await handle.close();
      closeSync(writer);
    };
  }

  /** Writes more than the pipe holds, and waits until the rest is waiting. */
  async function fill(): Promise<LineFile> {
    const file = new LineFile(fd, true, false);
    file.write(LINES.join(''));
    while (vi.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve));
    return file;
  }

  it('gets the rest of a line before what is flushed after it', async () => {
    const file = await fill();
    const begun = read();
    expect(begun.length).toBeLessThan(LINES.join('').length);
    file.write('the end\n');
    file.flush();
    expect(begun + read()).toBe(`${LINES.join('')}the end\n`);
    vi.runAllTimers();
    await file.close();
    expect(() => read()).toThrow('EAGAIN');
    expect(file.dropped).toBe(0);
  });

  it('gets the rest of a line before what is flushed while it is tried again', async () => {
    const file = await fill();
    const begun = read();
    file.write('the end\n');
    const release = occupyThreads();
    vi.runAllTimers();
    await Promise.resolve();
    file.flush();
    await release();
    expect(begun + read()).toBe(`${LINES.join('')}the end\n`);
    await file.close();
    expect(file.dropped).toBe(0);
  });

  it('gets the rest by itself', async () => {
    const file = await fill();
    file.write('the end\n');
    const begun = read();
    vi.runAllTimers();
    await file.close();
    expect(begun + read()).toBe(`${LINES.join('')}the end\n`);
    expect(file.dropped).toBe(0);
  });

  it('does not keep a file from being closed, which counts the lines that are lost', async () => {
    const file = await fill();
    const closed = file.close();
    vi.runAllTimers();
    await closed;
    const whole = read().split('\n').length - 1;
    expect(file.dropped).toBe(LINES.length - whole);
  });
});
