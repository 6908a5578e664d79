import { describe, expect, it } from 'vitest';
import { OrderedWrites } from './ordered-writes.js';

const full = () => new Error('too many');

/** A write that is under way until it is told to end. */
class HeldWrite {
  isBegun = false;
  end: (error?: Error) => void = () => {};

  readonly write = () => {
    this.isBegun = true;
    return new Promise<void>((resolve, reject) => {
      this.end = (error) => (error ? reject(error) : resolve());
    });
  };
}

describe('writes in order', () => {
  it('wait for those of their key, also where these fail, and for no others', async () => {
    const writes = new OrderedWrites(10, full);
    const [first, second, other] = [new HeldWrite(), new HeldWrite(), new HeldWrite()];
    const results = [writes.run('a', first.write), writes.run('a', second.write), writes.run('b', other.write)];
    const settled = Promise.allSettled(results);
    expect([first.isBegun, second.isBegun, other.isBegun]).toEqual([true, false, true]);
    other.end();
    await results[2];
    expect(second.isBegun).toBe(false);
    first.end(new Error('no'));
    await expect(results[0]).rejects.toThrow('no');
    await expect.poll(() => second.isBegun).toBe(true);
    second.end();
    expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
  });

  it('are refused where too many wait or are under way, and taken again when these have ended', async () => {
    const writes = new OrderedWrites(3, full);
    for (let round = 0; round < 3; round++) {
      const held = [new HeldWrite(), new HeldWrite(), new HeldWrite()];
      const results = held.map(({ write }, at) => writes.run(`${at % 2}`, write));
      const settled = Promise.allSettled(results);
      await expect(writes.run('c', async () => {})).rejects.toThrow('too many');
      for (const each of held) {
        await expect.poll(() => each.isBegun).toBe(true);
        each.end(round === 1 ? new Error('no') : undefined);
      }
      await settled;
    }
  });
});
