import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FeedLoader } from './feed-loader.js';

let opened: Set<number>;
let mostFiles: number;
const openFile = () => {
  if (opened.size >= mostFiles) throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
  opened.add(opened.size);
  return opened.size - 1;
};
const loaderOf = <Module>(load: () => Promise<Module>) =>
  new FeedLoader({ load, openFile, closeFile: (file) => opened.delete(file) });

beforeEach(() => {
  vi.useFakeTimers();
  opened = new Set();
  mostFiles = 1000;
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the code of the feeds', () => {
  it('is not begun to be loaded while there are too few file descriptors, and is when there are', async () => {
    const load = vi.fn(async () => 'the feeds');
    const loader = loaderOf(load);
    mostFiles = 100;
    await expect(loader.load()).rejects.toThrow('EMFILE');
    expect([load.mock.calls.length, opened.size]).toEqual([0, 0]);
    mostFiles = 1000;
    expect(await loader.load()).toBe('the feeds');
    expect(opened.size).toBe(0);
  });

  it('needs no file descriptors once it is loaded', async () => {
    const load = vi.fn(async () => 'the feeds');
    const loader = loaderOf(load);
    await loader.load();
    mostFiles = 0;
    expect(await loader.load()).toBe('the feeds');
    expect(load).toHaveBeenCalledTimes(1);
  });

  it('is loaded some time after the start, where that is asked for', async () => {
    const load = vi.fn(async () => 'the feeds');
    const loader = loaderOf(load);
    loader.loadSoon();
    await vi.advanceTimersByTimeAsync(1000);
    expect(load).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(load).toHaveBeenCalledTimes(1);
  });

  it('is left to who asks for it where it could not be loaded by then', async () => {
    const load = vi.fn(async () => 'the feeds');
    const loader = loaderOf(load);
    mostFiles = 0;
    loader.loadSoon();
    await vi.advanceTimersByTimeAsync(60_000);
    mostFiles = 1000;
    expect(await loader.load()).toBe('the feeds');
  });

  it('is not loaded after the end', async () => {
    const load = vi.fn(async () => 'the feeds');
    const loader = loaderOf(load);
    loader.loadSoon();
    loader.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(load).not.toHaveBeenCalled();
  });
});
