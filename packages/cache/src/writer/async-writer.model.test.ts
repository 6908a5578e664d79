import { ManualTime } from '@granary/resilience/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Layer } from '../layer.js';
import { AsyncWriter } from './async-writer.js';

interface Call {
  readonly key: string;
  /** Number of the change, from when it was given. */
  readonly change: number;
  readonly end: (error?: unknown) => void;
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
};

const keys = fc.constantFrom('a', 'b', 'c', 'd');
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('set' as const, 'delete' as const), key: keys, size: fc.nat(6) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('succeed' as const, 'fail' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'abort' as const) }) },
);
const setup = fc.record({
  workers: fc.integer({ min: 1, max: 3 }),
  maxEntries: fc.integer({ min: 1, max: 5 }),
  maxBytes: fc.integer({ min: 1, max: 12 }),
  maxWaiting: fc.nat(3),
  maxWaitMs: fc.constantFrom(0, 50),
});

describe('an async writer, whatever happens', () => {
  it('writes each key in order with its last change last, one at a time, within its bounds, and counts exactly', async () => {
    await fc.assert(
      fc.asyncProperty(setup, fc.array(step, { maxLength: 50 }), async (options, steps) => {
        const time = new ManualTime();
        const running: Call[] = [];
        const begun: Call[] = [];
        const begin = (key: string, change: number) =>
          new Promise<void>((resolve, reject) => {
            expect(running.map((call) => call.key)).not.toContain(key);
            const end = (error?: unknown) => (error === undefined ? resolve() : reject(error));
            const call = { key, change, end };
            running.push(call);
            begun.push(call);
            expect(running.length).toBeLessThanOrEqual(options.workers);
          });
        // Deletes carry no value, so their number is looked up: the newest delete of the key so far.
        const lastDelete = new Map<string, number>();
        const layer: Layer<{ change: number; size: number }> = {
          name: 'model',
          get: () => undefined,
          set: (key, { change }) => begin(key, change),
          delete: (key) => begin(key, lastDelete.get(key) ?? -1).then(() => true),
          close: () => {},
        };
        const writer = new AsyncWriter(layer, {
          ...options,
          sizeOf: ({ size }) => size,
          clock: time.clock,
          timers: time,
        });
        const answers = new Map<number, boolean | 'aborted'>();
        const keyOf = new Map<number, string>();
        const flushes: Promise<boolean>[] = [];
        let failed = 0;
        let caller = new AbortController();

        for (const [change, next] of steps.entries()) {
          if (next.do === 'set' || next.do === 'delete') {
            keyOf.set(change, next.key);
            if (next.do === 'delete') lastDelete.set(next.key, change);
            const { signal } = caller;
            const answer =
              next.do === 'set'
                ? writer.set(next.key, { change, size: next.size }, { signal })
                : writer.delete(next.key, { signal });
            if (typeof answer === 'boolean') answers.set(change, answer);
            else
              answer.then(
                (accepted) => answers.set(change, accepted),
                () => answers.set(change, 'aborted'),
              );
          } else if (next.do === 'wait') await time.advance(next.ms);
          else if (next.do === 'flush') flushes.push(writer.flush(1_000_000));
          else if (next.do === 'abort') {
            caller.abort();
            caller = new AbortController();
          } else if ('which' in next && running.length > 0) {
            const [call] = running.splice(next.which % running.length, 1);
            if (next.do === 'fail') failed++;
            call?.end(next.do === 'fail' ? new Error('refused') : undefined);
          }
          await settle();
          const stats = writer.stats();
          expect(stats.queueDepth).toBeLessThanOrEqual(options.maxEntries);
          expect(stats.queuedBytes).toBeLessThanOrEqual(options.maxBytes);
          expect(stats.waiting).toBeLessThanOrEqual(options.maxWaiting);
          const aborted = [...answers.values()].filter((answer) => answer === 'aborted').length;
          const { queueDepth, waiting, droppedWrites, supersededWrites, totalWrites } = stats;
          expect(queueDepth + waiting + droppedWrites + supersededWrites + totalWrites + aborted).toBe(keyOf.size);
        }

        while (running.length > 0) {
          for (const call of running.splice(0)) call.end();
          await settle();
        }
        await time.advance(100);
        while (running.length > 0) {
          for (const call of running.splice(0)) call.end();
          await settle();
        }
        await Promise.all(flushes);
        const stats = writer.stats();
        expect(stats).toMatchObject({ queueDepth: 0, queuedBytes: 0, waiting: 0, failedWrites: failed });
        expect(stats.totalWrites).toBe(begun.length);
        expect(stats.droppedWrites).toBe([...answers.values()].filter((answer) => answer === false).length);
        expect(answers.size).toBe(keyOf.size);
        for (const key of ['a', 'b', 'c', 'd']) {
          const written = begun.filter((call) => call.key === key).map((call) => call.change);
          expect(written).toEqual([...new Set(written)].sort((a, b) => a - b));
          const given = [...keyOf].filter(([, of]) => of === key).map(([change]) => change);
          const last = given.findLast((change) => answers.get(change) === true);
          // A change that took the place of one who waited, and was dropped then, takes both away.
          if (last === given.at(-1)) expect(written.at(-1)).toBe(last);
          else if (last !== undefined) expect(written.at(-1) ?? -1).toBeLessThanOrEqual(last);
        }
        expect(time.pending).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
