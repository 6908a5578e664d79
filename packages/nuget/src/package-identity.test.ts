import { describe, expect, it } from 'vitest';
import { checkPackageId, isPackageId, lowerId } from './package-identity.js';

describe('a package id', () => {
  it.each(['A', 'A.B', 'A-B_C', '_a', 'a__b', '1.2', 'Ä.日本', 'a'.repeat(100)])('may be %s', (id) => {
    expect(isPackageId(id)).toBe(true);
    expect(lowerId(id)).toBe(id.toLowerCase());
  });

  it.each(['', '.a', 'a.', 'a..b', 'a-.b', 'a b', 'a/b', 'a%2fb', 'a+b', 'a\n', 'a'.repeat(101)])(
    'may not be %j',
    (id) => {
      expect(isPackageId(id)).toBe(false);
      expect(() => checkPackageId(id)).toThrow(expect.objectContaining({ code: 'INVALID_PACKAGE_ID' }));
    },
  );

  it('may not be left out', () => {
    const id = undefined as unknown as string;
    expect(isPackageId(id)).toBe(false);
    expect(() => checkPackageId(id)).toThrow('"undefined" is no package id');
  });

  it('is refused in no time, however many ways there are to read it', () => {
    for (const part of ['a_', '_', 'a_b.', 'a-_']) expect(isPackageId(`${part.repeat(49).slice(0, 99)}!`)).toBe(false);
  });
});
