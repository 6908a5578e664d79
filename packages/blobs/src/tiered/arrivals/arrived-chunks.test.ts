import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArrivedChunks } from './arrived-chunks.js';

const KIB = 1024;

function arrived(...sizes: readonly number[]) {
  const chunks = new ArrivedChunks();
  const parts = sizes.map((size, i) => Buffer.alloc(size, i + 1));
  for (const part of parts) chunks.push(part);
  return { chunks, parts };
}

describe('the chunks of a blob that arrives', () => {
  it('are handed out as they came, where they are large and all of them is wanted', () => {
    const { chunks, parts } = arrived(256 * KIB, 256 * KIB, 16 * KIB);
    expect(chunks.shared(256 * KIB, 512 * KIB)).toBe(parts[1]);
    expect(chunks.shared(256 * KIB, 512 * KIB - 1)).toBeUndefined();
    expect(chunks.shared(256 * KIB + 1, 1024 * KIB)).toBeUndefined();
    expect(chunks.shared(512 * KIB, 1024 * KIB)).toBeUndefined();
    expect(chunks.at(512 * KIB)).toBe(parts[2]);
    expect(chunks.at(528 * KIB)).toBeUndefined();
  });

  it('go when others need the memory, the oldest first, but not before they are stored', () => {
    const { chunks } = arrived(10, 10, 10, 10);
    chunks.trim(20, 10);
    expect([chunks.start, chunks.end]).toEqual([10, 40]);
    chunks.trim(20, 40);
    expect([chunks.start, chunks.end]).toEqual([20, 40]);
    expect(chunks.at(10)).toBeUndefined();
    expect(chunks.copy(Buffer.alloc(10), 0, 10, 10)).toBe(0);
    chunks.trim(0, 40);
    expect([chunks.start, chunks.end]).toEqual([40, 40]);
    chunks.push(Buffer.from('next'));
    expect(String(chunks.at(40))).toBe('next');
  });

  it('are the bytes that came, from any position and however they were cut', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), fc.nat(1000), (cuts, a, b, kept) => {
        const { chunks, parts } = arrived(...cuts);
        const whole = Buffer.concat(parts);
        chunks.trim(kept, whole.length);
        const position = chunks.start + (a % (chunks.end - chunks.start + 1));
        const length = b % 120;
        const target = Buffer.alloc(3 + length + 60);
        const copied = chunks.copy(target, 3, length, position);
        expect(copied).toBe(Math.min(length, whole.length - position));
        expect(target.subarray(3, 3 + copied).equals(whole.subarray(position, position + copied))).toBe(true);
        expect(target.subarray(3 + copied).every((byte) => byte === 0)).toBe(true);
      }),
    );
  });
});
