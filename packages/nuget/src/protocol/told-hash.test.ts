import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { toldHash } from './told-hash.js';

describe('a hash that a feed tells', () => {
  const sha512 = createHash('sha512').update('package');
  const value = sha512.copy().digest('base64');
  const hex = sha512.copy().digest('hex');

  it('is SHA-512 where it says nothing else', () => {
    expect(toldHash(value)).toEqual({ algorithm: 'SHA512', value });
    expect(toldHash(undefined, 'SHA512')).toBeUndefined();
  });

  it('is in base64, where others write hex too', () => {
    expect(toldHash(hex)).toEqual({ algorithm: 'SHA512', value });
    expect(toldHash(hex.toUpperCase(), 'sha-512')).toEqual({ algorithm: 'sha-512', value });
    const sha256 = createHash('sha256').update('package').digest();
    const expected = { algorithm: 'SHA256', value: sha256.toString('base64') };
    expect(toldHash(sha256.toString('hex'), 'SHA256')).toEqual(expected);
  });

  it('stays what it is where it is neither, so that no package has it', () => {
    expect(toldHash('AAAA')).toEqual({ algorithm: 'SHA512', value: 'AAAA' });
  });

  it('is none where nobody knows its algorithm', () => {
    for (const algorithm of ['CRC32', 'none', 'constructor']) expect(toldHash(value, algorithm)).toBeUndefined();
  });
});
