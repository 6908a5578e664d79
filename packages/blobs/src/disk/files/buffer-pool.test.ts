import { describe, expect, it } from 'vitest';
import { BufferPool } from './buffer-pool.js';

const LARGE = 2 ** 30;

describe('a pool of transfer buffers', () => {
  it('bounds what many streams take together, and is generous again when they have ended', () => {
    const pool = new BufferPool();
    const alone = pool.transferBytes(LARGE);
    const lent: Buffer[] = [];
    for (let stream = 0; stream < 200; stream++) {
      const bytes = pool.transferBytes(LARGE);
      lent.push(pool.take(bytes), pool.take(bytes));
    }
    const total = lent.reduce((sum, { length }) => sum + length, 0);
    expect(total).toBeLessThan(70 * 2 ** 20);
    expect(pool.transferBytes(LARGE)).toBeLessThan(alone);
    for (const buffer of lent) pool.give(buffer);
    expect(pool.transferBytes(LARGE)).toBe(alone);
  });

  it('takes no more than a short stream needs', () => {
    expect(new BufferPool().transferBytes(1000)).toBe(1000);
  });

  it('lends a buffer again', () => {
    const pool = new BufferPool();
    const bytes = pool.transferBytes(LARGE);
    const first = pool.take(bytes);
    pool.give(first);
    expect(pool.take(bytes) === first).toBe(true);
    expect(pool.take(bytes) === first).toBe(false);
  });
});
