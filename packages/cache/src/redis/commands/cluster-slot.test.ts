import { describe, expect, it } from 'vitest';
import { slotOf } from './cluster-slot.js';

describe('the hash slot of a key', () => {
  it('is the checksum of the whole key', () => {
    expect(slotOf('123456789')).toBe(0x31c3);
    expect(slotOf('foo')).toBe(12182);
    expect(slotOf('')).toBe(0);
  });

  it('is that of what is between the first braces', () => {
    expect(slotOf('{user1000}.following')).toBe(slotOf('user1000'));
    expect(slotOf('foo{{bar}}zap')).toBe(slotOf('{bar'));
    expect(slotOf('foo{bar}{zap}')).toBe(slotOf('bar'));
  });

  it('is that of the whole key when there is nothing between the first braces', () => {
    expect(slotOf('foo{}{bar}')).not.toBe(slotOf('bar'));
    expect(slotOf('foo{bar')).not.toBe(slotOf('bar'));
  });
});
