import { ManualTime } from '@granary/resilience/testing';
import { noopCollector, nullLogger } from '@granary/telemetry';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { EntryPins } from '../../disk/index/entry-pins.js';
import { StoreError } from '../../errors.js';
import { blobOf } from '../../testing/content.js';
import { TierQueue } from './tier-queue.js';
import type { QueueContext } from './write-behind-queue.js';
import type { WriteJournal } from './write-journal.js';

const full = new StoreError('STORE_FAILED', 'the disk is full');
const { digest } = blobOf(100);
const turn = () => new Promise((resolve) => setImmediate(resolve));

let journal: { keep: ReturnType<typeof vi.fn>; remove: ReturnType<typeof vi.fn> };
let pins: EntryPins;
let queue: TierQueue;
const sendBlob = vi.fn(async () => true);
const sendActionResult = vi.fn(async () => true);
beforeEach(() => {
  const time = new ManualTime();
  journal = { keep: vi.fn(async () => {}), remove: vi.fn(async () => {}) };
  pins = new EntryPins();
  let sequence = 0;
  const context: QueueContext = {
    journal: journal as unknown as WriteJournal,
    pins,
    limits: { maxEntries: 10, maxBytes: 1000, maxParallel: 2, maxRefusals: 2 },
    backoff: undefined,
    metrics: noopCollector,
    onDropped: () => {},
    logger: nullLogger,
    clock: time.clock,
    timers: time,
    stopped: new AbortController().signal,
    nextSequence: () => ++sequence,
  };
  queue = new TierQueue('far', context);
  sendBlob.mockClear();
  sendActionResult.mockClear();
});

const start = () => queue.start({ tier: 'far', sendBlob, sendActionResult });

describe('a journal that fails', () => {
  it.each([false, true])('refuses the write, which is not sent (while it runs: %s)', async (running) => {
    journal.keep.mockRejectedValue(full);
    if (running) start();
    await expect(queue.add({ blob: digest })).rejects.toBe(full);
    await turn();
    if (!running) start();
    await queue.settled();
    expect(sendBlob).not.toHaveBeenCalled();
    expect(queue.stats()).toMatchObject({ depth: 0, bytes: 0, paused: false });
    expect(pins.count).toBe(0);
  });

  it('keeps the older result that was to be replaced', async () => {
    await queue.add({ actionResult: 'key' });
    journal.keep.mockRejectedValue(full);
    await expect(queue.add({ actionResult: 'key' })).rejects.toBe(full);
    expect(queue.stats()).toMatchObject({ depth: 1 });
    expect(pins.count).toBe(1);
    start();
    await queue.settled();
    expect(sendActionResult).toHaveBeenCalledTimes(1);
  });

  it('says so to everyone who asked for the same', async () => {
    journal.keep.mockRejectedValue(full);
    const asked = await Promise.allSettled([queue.add({ blob: digest }), queue.add({ blob: digest })]);
    expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    journal.keep.mockResolvedValue(undefined);
    await queue.add({ blob: digest });
    expect(queue.stats()).toMatchObject({ depth: 1 });
  });

  it('does not undo a write that was done', async () => {
    journal.remove.mockRejectedValue(full);
    start();
    await queue.add({ blob: digest });
    await queue.settled();
    expect(sendBlob).toHaveBeenCalledTimes(1);
    expect(queue.stats()).toMatchObject({ depth: 0 });
  });
});

describe('a target that answers at once', () => {
  it('may throw instead of rejecting', async () => {
    start();
    sendBlob.mockImplementationOnce(() => {
      throw new Error('a mistake');
    });
    await queue.add({ blob: digest });
    await queue.settled();
    expect(sendBlob).toHaveBeenCalledTimes(2);
    expect(queue.stats()).toMatchObject({ depth: 0, dropped: 0 });
  });
});
