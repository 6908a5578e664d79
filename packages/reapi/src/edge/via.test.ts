import { describe, expect, it } from 'vitest';
import { viaFrom } from './via.js';

describe('the servers that a request has passed', () => {
  it('are those of its header, and this one', () => {
    expect(viaFrom(undefined, 'me')).toEqual(['me']);
    expect(viaFrom('', 'me')).toEqual(['me']);
    expect(viaFrom('one', 'me')).toEqual(['one', 'me']);
    expect(viaFrom('one, two,three', 'me')).toEqual(['one', 'two', 'three', 'me']);
  });

  it('may not have this one among them, nor be very many', () => {
    expect(() => viaFrom('one,me', 'me')).toThrow('has passed me before');
    expect(() => viaFrom(' me ', 'me')).toThrow('has passed me before');
    const many = Array.from({ length: 17 }, (_, i) => `s${i}`);
    expect(() => viaFrom(many.join(), 'me')).toThrow('has passed me before');
    expect(viaFrom(many.slice(1).join(), 'me')).toHaveLength(17);
  });

  it('are not taken from what is no list of servers', () => {
    for (const header of ['a b', 'ü', 'x'.repeat(200), `${'x'.repeat(100)},`.repeat(5000), ',', 'a,,b']) {
      expect(viaFrom(header, 'me'), header.slice(0, 20)).toEqual(['me']);
    }
  });
});
