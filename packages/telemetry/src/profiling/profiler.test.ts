import { once } from 'node:events';
import { json } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { Profile } from 'pprof-format';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Profiler } from './profiler.js';

const open: Profiler[] = [];
afterEach(async () => {
  for (const profiler of open.splice(0)) await profiler.close();
});

/** A profiler whose waits end when a test says so. */
function profilerWithTimers() {
  const timers = new Set<() => void>();
  const profiler = new Profiler({
    timers: {
      setTimeout(callback) {
        timers.add(callback);
        return callback;
      },
      clearTimeout: (handle) => void timers.delete(handle as () => void),
    },
  });
  open.push(profiler);
  const waiting = () => vi.waitFor(() => expect(timers.size).toBe(1));
  const ring = () => {
    for (const callback of [...timers]) {
      timers.delete(callback);
      callback();
    }
  };
  return { profiler, timers, waiting, ring };
}

function parse(bytes: Buffer) {
  const profile = Profile.decode(gunzipSync(bytes));
  const text = (index: number | bigint) => profile.stringTable.strings[Number(index)] ?? '';
  const functions = new Map(profile.function.map((each) => [each.id, each]));
  const lineOf = new Map(profile.location.map((location) => [location.id, location.line[0]]));
  const types = profile.sampleType.map(({ type, unit }) => `${text(type)}/${text(unit)}`);
  /** Sums of the values of all samples with such a function on their stack. */
  const sums = (name: RegExp) =>
    types.map((_, index) =>
      profile.sample
        .filter(({ locationId }) =>
          locationId.some((id) => {
            const named = functions.get(lineOf.get(id)?.functionId ?? 0);
            return named !== undefined && name.test(text(named.name));
          }),
        )
        .reduce((sum, { value }) => sum + Number(value[index]), 0),
    );
  const named = (name: RegExp) =>
    profile.function
      .filter((each) => name.test(text(each.name)))
      .map((each) => ({ name: text(each.name), file: text(each.filename) }));
  return { profile, types, sums, named };
}

/** What a profile is to find: keeps the CPU busy. */
function burnTheCpu(ms: number): number {
  const end = process.cpuUsage().user + ms * 1000;
  let sum = 0;
  while (process.cpuUsage().user < end) for (let i = 0; i < 10_000; i++) sum += Math.sqrt(i);
  return sum;
}

class Hoard {
  readonly items: object[] = [];
  /** What a heap profile is to find. */
  fillTheHeap(count: number): void {
    for (let i = 0; i < count; i++) this.items.push({ number: i, text: `item ${i}`, list: [i, i + 1, i + 2] });
  }
}

describe('a CPU profile', () => {
  it('says which of our functions took the time, by the clock and on the CPU', async () => {
    const { profiler, waiting, ring } = profilerWithTimers();
    const taken = profiler.cpu(30_000);
    await waiting();
    burnTheCpu(400);
    ring();
    const { types, sums, named, profile } = parse(await taken);
    expect(types).toEqual(['sample/count', 'wall/nanoseconds', 'cpu/nanoseconds']);
    const [samples = 0, wall = 0, cpu = 0] = sums(/^burnTheCpu /);
    expect(samples).toBeGreaterThan(10);
    expect(wall).toBeGreaterThan(200e6);
    expect(cpu).toBeGreaterThan(200e6);
    expect(named(/^burnTheCpu /)[0]?.name).toMatch(/^burnTheCpu profiling\/profiler\.test\.ts:\d+$/);
    expect(named(/^burnTheCpu /)[0]?.file).toMatch(/^\/.*profiler\.test\.ts$/);
    expect(Number(profile.durationNanos)).toBeGreaterThan(300e6);
  });

  it('is taken one at a time, and says when the next one can be', async () => {
    const { profiler, waiting, ring } = profilerWithTimers();
    const first = profiler.cpu(20_000);
    await expect(profiler.cpu(1000)).rejects.toMatchObject({ code: 'PROFILER_BUSY' });
    await waiting();
    const error: unknown = await profiler.cpu(1000).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'PROFILER_BUSY', message: expect.stringContaining('one at a time') });
    expect((error as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(10_000);
    // Another part of the process has the same profiler underneath.
    const other = profilerWithTimers();
    await expect(other.profiler.cpu(1000)).rejects.toMatchObject({ code: 'PROFILER_BUSY' });
    ring();
    await first;
    const next = other.profiler.cpu(1000);
    await other.waiting();
    other.ring();
    await next;
  });

  it.each(['its signal', 'the end of the profiler'])('ends early with %s, and leaves nothing behind', async (what) => {
    const { profiler, timers, waiting } = profilerWithTimers();
    const controller = new AbortController();
    const taken = profiler.cpu(30_000, { signal: controller.signal });
    await waiting();
    if (what === 'its signal') controller.abort(new Error('gone'));
    else await profiler.close();
    await expect(taken).rejects.toThrow(what === 'its signal' ? 'gone' : 'the profiler is closed');
    expect(timers.size).toBe(0);
    const { time } = await import('@datadog/pprof');
    expect(time.isStarted()).toBe(false);
  });

  it('does not begin with a signal that has aborted, or when the profiler is closed', async () => {
    const { profiler, timers } = profilerWithTimers();
    await expect(profiler.cpu(1000, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
    await profiler.close();
    await profiler.close();
    await expect(profiler.cpu(1000)).rejects.toThrow('closed');
    await expect(profiler.heap()).rejects.toThrow('closed');
    await expect(profiler.startHeapSampling()).rejects.toThrow('closed');
    expect(() => profiler.heapSnapshot()).toThrow('closed');
    expect(timers.size).toBe(0);
  });

  it('waits by the timers of Node by default', async () => {
    await using profiler = new Profiler();
    expect(parse(await profiler.cpu(20)).types).toHaveLength(3);
  });
});

describe('a heap profile', () => {
  it('says which of our functions allocated what is still there, since samples are taken', async () => {
    const { profiler, waiting, ring } = profilerWithTimers();
    const hoard = new Hoard();
    const taken = profiler.heap(3000);
    await waiting();
    expect(profiler.samplesHeap).toBe(true);
    await expect(profiler.heap()).rejects.toMatchObject({ code: 'PROFILER_BUSY' });
    hoard.fillTheHeap(200_000);
    ring();
    const { types, sums, named } = parse(await taken);
    expect(types).toEqual(['inuse_objects/count', 'inuse_space/bytes']);
    const [objects = 0, bytes = 0] = sums(/^fillTheHeap /);
    expect(objects).toBeGreaterThan(1000);
    expect(bytes).toBeGreaterThan(10e6);
    expect(named(/^fillTheHeap /)[0]?.name).toMatch(/^fillTheHeap profiling\/profiler\.test\.ts:\d+$/);

    // From here on there is no need to wait.
    hoard.fillTheHeap(200_000);
    expect(parse(await profiler.heap()).sums(/^fillTheHeap /)[1]).toBeGreaterThan(bytes * 1.3);
    expect(hoard.items).toHaveLength(400_000);
  });

  it('covers everything since the start where sampling is started', async () => {
    const { profiler } = profilerWithTimers();
    await profiler.startHeapSampling();
    await profiler.startHeapSampling();
    const hoard = new Hoard();
    hoard.fillTheHeap(200_000);
    expect(parse(await profiler.heap()).sums(/^fillTheHeap /)[1]).toBeGreaterThan(10e6);
    expect(hoard.items).toHaveLength(200_000);
  });

  it('is shared with another profiler of the process, and outlives neither', async () => {
    const [one, two] = [profilerWithTimers().profiler, profilerWithTimers().profiler];
    await one.startHeapSampling();
    await two.heap();
    expect(two.samplesHeap).toBe(false);
    await one.close();
    await two.heap();
    expect(two.samplesHeap).toBe(true);
  });

  it('ends early with its signal', async () => {
    const { profiler, timers, waiting } = profilerWithTimers();
    const controller = new AbortController();
    const taken = profiler.heap(3000, { signal: controller.signal });
    await waiting();
    controller.abort(new Error('gone'));
    await expect(taken).rejects.toThrow('gone');
    expect(timers.size).toBe(0);
  });
});

describe('a heap snapshot', () => {
  it("is one that Chrome's developer tools read, one at a time", async () => {
    const { profiler } = profilerWithTimers();
    const stream = profiler.heapSnapshot();
    expect(() => profiler.heapSnapshot()).toThrow(expect.objectContaining({ code: 'PROFILER_BUSY' }));
    const { snapshot, strings } = (await json(stream)) as { snapshot: { node_count: number }; strings: string[] };
    expect(snapshot.node_count).toBeGreaterThan(10_000);
    expect(strings).toContain('Profiler');
  });

  it('that nobody reads to the end gives the place free, and so does the end of the profiler', async () => {
    const { profiler } = profilerWithTimers();
    const left = profiler.heapSnapshot();
    left.destroy();
    await once(left, 'close');
    const unread = profiler.heapSnapshot();
    await profiler.close();
    expect(unread.destroyed).toBe(true);
  });
});

describe('without the package', () => {
  it('profiles are refused with what is missing, and the program goes on', async () => {
    vi.doMock('@datadog/pprof', () => {
      throw new Error('no prebuilt binary');
    });
    try {
      const { profiler } = profilerWithTimers();
      for (const taken of [profiler.cpu(10), profiler.heap(), profiler.startHeapSampling()])
        await expect(taken).rejects.toMatchObject({
          code: 'PROFILER_UNAVAILABLE',
          message: expect.stringContaining('@datadog/pprof'),
          cause: expect.any(Error),
        });
    } finally {
      vi.doUnmock('@datadog/pprof');
    }
  });
});
