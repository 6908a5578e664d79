import { describe, expect, it } from 'vitest';
import { SyncGate } from './sync-gate.js';

describe('SyncGate', () => {
  it('runs few at once, all in the end, and goes on after a failure', async () => {
    const gate = new SyncGate(2);
    let running = 0;
    let most = 0;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 9 }, (_, i) =>
        gate.run(async () => {
          most = Math.max(most, ++running);
          await new Promise(setImmediate);
          running--;
          if (i === 3) throw new Error('the disk failed');
          return i;
        }),
      ),
    );
    expect(most).toBe(2);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(8);
    expect(await gate.run(async () => 'free again')).toBe('free again');
  });
});
