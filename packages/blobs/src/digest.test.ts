import { CircuitOpenError } from '@granary/resilience';
import { describe, expect, it } from 'vitest';
import { Digest, emptyDigest, isEmptyDigest } from './digest.js';
import {
  createHasher,
  DIGEST_FUNCTIONS,
  HASH_BYTES,
  hashBytes,
  inferDigestFunction,
  isDigestFunction,
} from './digest-function.js';
import { InvalidDigestError, isStoreError, StoreError } from './errors.js';

const SHA256_OF_NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const BLAKE3_OF_NOTHING = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';

describe('a digest', () => {
  for (const fn of DIGEST_FUNCTIONS) {
    it(`of ${fn} is the same from bytes, text, hash and a stream`, () => {
      const bytes = Buffer.from('the content');
      const digest = Digest.of(fn, bytes);
      const hasher = createHasher(fn);
      hasher.update(bytes.subarray(0, 5));
      hasher.update(bytes.subarray(5));
      expect(digest.bytes.length).toBe(HASH_BYTES[fn]);
      expect(hasher.digest().equals(digest.bytes)).toBe(true);
      expect(hashBytes(fn, bytes).equals(digest.bytes)).toBe(true);
      expect(Digest.parse(fn, digest.hash, bytes.length).equals(digest)).toBe(true);
      expect(Digest.fromBytes(fn, digest.bytes, bytes.length).equals(digest)).toBe(true);
      expect(String(digest)).toBe(`${digest.hash}/${bytes.length}`);
    });
  }

  it('has the values that the functions are known for', () => {
    expect(emptyDigest('sha256').hash).toBe(SHA256_OF_NOTHING);
    expect(emptyDigest('blake3').hash).toBe(BLAKE3_OF_NOTHING);
    expect(isEmptyDigest(Digest.parse('sha256', SHA256_OF_NOTHING, 0))).toBe(true);
    expect(isEmptyDigest(Digest.parse('sha256', SHA256_OF_NOTHING, 1))).toBe(false);
    expect(isEmptyDigest(Digest.parse('blake3', SHA256_OF_NOTHING, 0))).toBe(false);
  });

  it.each([
    ['upper case', SHA256_OF_NOTHING.toUpperCase(), 0],
    ['a letter that is no digit', `g${SHA256_OF_NOTHING.slice(1)}`, 0],
    ['a character beyond Latin-1', `Ā${SHA256_OF_NOTHING.slice(1)}`, 0],
    ['too few digits', SHA256_OF_NOTHING.slice(2), 0],
    ['too many digits', `${SHA256_OF_NOTHING}00`, 0],
    ['no digits', '', 0],
    ['a negative size', SHA256_OF_NOTHING, -1],
    ['a fractional size', SHA256_OF_NOTHING, 1.5],
    ['a size beyond what is counted exactly', SHA256_OF_NOTHING, 2 ** 53],
    ['no size', SHA256_OF_NOTHING, Number.NaN],
  ])('refuses %s', (_, hash, size) => {
    expect(() => Digest.parse('sha256', hash, size)).toThrow(InvalidDigestError);
  });

  it('refuses raw hashes of the wrong length and wrong sizes', () => {
    expect(() => Digest.fromBytes('sha256', Buffer.alloc(31), 0)).toThrow(InvalidDigestError);
    expect(() => Digest.fromBytes('sha256', Buffer.alloc(32), -1)).toThrow(InvalidDigestError);
  });

  it('shares words with others of its request until it is made compact', () => {
    const text = Buffer.from(SHA256_OF_NOTHING + BLAKE3_OF_NOTHING);
    const words = new Int32Array(16);
    const first = Digest.readHex('sha256', text, 0, 0, words, 0);
    const second = Digest.readHex('sha256', text, 64, 0, words, 8);
    expect([first.hash, second.hash]).toEqual([SHA256_OF_NOTHING, BLAKE3_OF_NOTHING]);
    const own = second.compact();
    expect(own.compact()).toBe(own);
    words.fill(0);
    expect(own.hash).toBe(BLAKE3_OF_NOTHING);
    expect(second.equals(own)).toBe(false);
  });
});

describe('a digest function', () => {
  it('is inferred from the length of a hash, where SHA-256 goes before BLAKE3', () => {
    expect([64, 40, 32, 96, 128, 62].map(inferDigestFunction)).toEqual([
      'sha256',
      'sha1',
      'md5',
      'sha384',
      'sha512',
      undefined,
    ]);
  });

  it('is known by its name in lower case', () => {
    expect(isDigestFunction('blake3')).toBe(true);
    expect(isDigestFunction('SHA256')).toBe(false);
  });
});

describe('a store error', () => {
  it('is recognised by its brand, also when another copy of the package made it', () => {
    expect(isStoreError(new StoreError('NO_SPACE', 'full'))).toBe(true);
    expect(isStoreError({ [Symbol.for('granary.store-error')]: true, code: 'NO_SPACE' })).toBe(true);
    expect([new Error('NO_SPACE'), null, 'NO_SPACE'].map(isStoreError)).toEqual([false, false, false]);
    expect(isStoreError(new CircuitOpenError(0))).toBe(false);
  });
});
