import { Digest } from '@granary/blobs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEntry, encodeEntry, entryKey, etagOf, type PackageEntry, packageKey } from './package-entry.js';
import { identityOf } from './testing/store-under-test.js';
import { bytesField, fieldsOf, numberField } from './wire-fields.js';

const KEY = 'contoso.a/1.0.0';
const digest = Digest.of('sha256', Buffer.from('bytes'));
const entry: PackageEntry = { digest, sha512: 'c2hhNTEy', storedAt: 1_700_000_000_000 };

const entries = fc
  .record({
    hash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    size: fc.maxSafeNat(),
    sha512: fc.base64String(),
    storedAt: fc.maxSafeNat(),
  })
  .map(({ hash, size, sha512, storedAt }) => ({ digest: Digest.fromBytes('sha256', hash, size), sha512, storedAt }));

describe('the entry of a package', () => {
  it('is named by id and version, whatever their case and form', () => {
    expect(packageKey(identityOf('Contoso.A', '1.0'))).toBe(KEY);
    expect(packageKey(identityOf('CONTOSO.A', '1.0.0.0+metadata'))).toBe(KEY);
    expect(packageKey(identityOf('Contoso.A', '1.0.0-RC.1'))).toBe('contoso.a/1.0.0-rc.1');
  });

  it('is another one for each source, and can’t be named by clients of the build cache', () => {
    const hash = Digest.of('sha256', Buffer.from(KEY)).hash;
    // REAPI: no segment of an instance name may be "actionResults".
    expect(entryKey('nuget.org', KEY)).toBe(`sha256/${hash}/actionResults/nuget/nuget.org`);
  });

  it('comes back as it was', () => {
    fc.assert(
      fc.property(entries, (each) => {
        const decoded = decodeEntry(KEY, encodeEntry(KEY, each));
        expect(decoded).toMatchObject({ sha512: each.sha512, storedAt: each.storedAt });
        expect(decoded?.digest.equals(each.digest)).toBe(true);
      }),
    );
    expect(etagOf(entry)).toBe(`"${digest.hash}"`);
  });

  it('is an action result with the package as its one output', () => {
    const result = fieldsOf(encodeEntry(KEY, entry));
    const file = fieldsOf(result.get(2) as Buffer);
    expect(String(file.get(1))).toBe('contoso.a.1.0.0.nupkg');
    const named = fieldsOf(file.get(2) as Buffer);
    expect([String(named.get(1)), named.get(2)]).toEqual([digest.hash, 5]);
  });

  it('is none of another package, nor of another version of the software', () => {
    expect(decodeEntry('contoso.b/1.0.0', encodeEntry(KEY, entry))).toBeUndefined();
    const file = Buffer.concat([
      bytesField(1, 'contoso.a.1.0.0.nupkg'),
      bytesField(2, Buffer.concat([bytesField(1, digest.hash), numberField(2, 5)])),
    ]);
    const withMetadata = (text: string) => Buffer.concat([bytesField(2, file), bytesField(5, text)]);
    for (const text of [
      'null',
      '7',
      '[]',
      '{}',
      '{"v":2,"sha512":"x","storedAt":1}',
      '{"v":1,"sha512":1,"storedAt":1}',
    ])
      expect(decodeEntry(KEY, withMetadata(text)), text).toBeUndefined();
    expect(decodeEntry(KEY, withMetadata('{"v":1,"sha512":"x","storedAt":1}'))).toBeDefined();
    expect(decodeEntry(KEY, Buffer.concat([numberField(2, 1), bytesField(5, '{}')]))).toBeUndefined();
    const wrongSize = Buffer.concat([bytesField(1, digest.hash), bytesField(2, 'size')]);
    const wrongFile = Buffer.concat([bytesField(1, 'contoso.a.1.0.0.nupkg'), bytesField(2, wrongSize)]);
    const right = bytesField(5, '{"v":1,"sha512":"x","storedAt":1}');
    expect(decodeEntry(KEY, Buffer.concat([bytesField(2, wrongFile), right]))).toBeUndefined();
  });

  it('is none that is damaged, and never throws', () => {
    const whole = encodeEntry(KEY, entry);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
        const damaged = Buffer.from(whole);
        damaged.writeUInt8(damaged.readUInt8(at) ^ bits, at);
        expect(() => decodeEntry(KEY, damaged)).not.toThrow();
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeEntry(KEY, Buffer.from(bytes))).toBeUndefined();
      }),
    );
    for (let length = 0; length < whole.length; length++)
      expect(decodeEntry(KEY, whole.subarray(0, length))).toBeUndefined();
  });

  it('may have fields that are unknown here', () => {
    const fixed = Buffer.from([(9 << 3) | 1, 1, 2, 3, 4, 5, 6, 7, 8, (10 << 3) | 5, 1, 2, 3, 4]);
    const unknown = Buffer.concat([numberField(100, 2 ** 40), fixed]);
    expect(fieldsOf(unknown).get(100)).toBe(2 ** 40);
    expect(decodeEntry(KEY, Buffer.concat([unknown, encodeEntry(KEY, entry)]))).toBeDefined();
    expect(decodeEntry(KEY, Buffer.concat([Buffer.from([3]), encodeEntry(KEY, entry)]))).toBeUndefined();
  });
});
