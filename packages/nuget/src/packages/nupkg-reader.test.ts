import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { crc32, deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NuGetError } from '../errors.js';
import { buildPackage, type PackageInit, writeZip, type ZipEntryInit, type ZipOptions } from '../testing/index.js';
import { NupkgReader } from './nupkg-reader.js';
import type { PackageLimits } from './zip-directory.js';

const MIB = 1024 * 1024;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nupkg-'));
});
afterAll(() => rm(folder, { recursive: true }));

const build = (extra: Partial<PackageInit> = {}) => buildPackage({ id: 'A.B', version: '1.2.3', ...extra });

/** A package of a nuspec and some entries. */
const zip = (entries: readonly ZipEntryInit[], options?: ZipOptions) =>
  writeZip(
    [
      { name: 'A.nuspec', data: '<package><metadata><id>A</id><version>1.0</version></metadata></package>' },
      ...entries,
    ],
    options,
  );

async function failure(input: Buffer, limits?: PackageLimits): Promise<NuGetError> {
  try {
    const reader = await NupkgReader.open(input, { limits });
    await reader.checkContents();
  } catch (error) {
    return error as NuGetError;
  }
  throw new Error('it was read');
}

const sha512 = (bytes: Buffer) => createHash('sha512').update(bytes).digest('base64');

describe('a package', () => {
  it('is read from a path, a handle, a descriptor, bytes or any source, and closes what it has opened', async () => {
    const bytes = build({ files: { 'lib/net8.0/A.dll': 'code' } });
    const path = join(folder, 'a.nupkg');
    await writeFile(path, bytes);
    await using handle = await open(path);
    const fd = openSync(path, 'r');
    // Gives all bytes that there are, as files never do and networks may.
    const source = { size: bytes.length, read: async (at: number, length: number) => bytes.subarray(at, at + length) };
    for (const input of [path, handle, fd, bytes, new Uint8Array(bytes), source]) {
      await using reader = await NupkgReader.open(input);
      expect(reader.size).toBe(bytes.length);
      expect((await reader.read('lib/net8.0/A.dll')).toString()).toBe('code');
      expect((await buffer(await reader.open('lib/net8.0/A.dll'))).toString()).toBe('code');
      expect((await reader.nuspec()).version.toNormalizedString()).toBe('1.2.3');
      expect(await reader.packageHash()).toBe(sha512(bytes));
    }
    closeSync(fd);
    expect((await handle.stat()).size).toBe(bytes.length);
  });

  it('lists its files, with spaces and the like as they are', async () => {
    const modified = new Date('2021-02-03T04:05:06Z');
    const reader = await NupkgReader.open(
      build({ files: { 'lib/portable-net45+win8/a b.dll': 'x'.repeat(1000), 'content/ü.txt': '' }, modified }),
    );
    expect(reader.files().map((file) => file.path)).toEqual([
      '_rels/.rels',
      'A.B.nuspec',
      'lib/portable-net45+win8/a b.dll',
      'content/ü.txt',
      '[Content_Types].xml',
      expect.stringMatching(/^package\/services\/metadata\/core-properties\/[0-9a-f]{32}\.psmdcp$/),
    ]);
    const file = reader.files()[2];
    expect(file).toMatchObject({ size: 1000, modified });
    expect(file!.compressedSize).toBeLessThan(100);
    expect(reader.has('content/ü.txt')).toBe(true);
    expect(reader.has('content/Ü.txt')).toBe(false);
  });

  it('may have names in UTF-8 without saying so, and in the code page of DOS, whatever extra fields say', async () => {
    const cp437 = Buffer.from([0x67, 0x72, 0x81, 0x6e]);
    const dos = Buffer.concat([Buffer.from('dos-'), cp437]);
    const another = Buffer.from('B.nuspec');
    const unicodePath = Buffer.alloc(9 + another.length);
    unicodePath.writeUInt16LE(0x7075, 0);
    unicodePath.writeUInt16LE(5 + another.length, 2);
    unicodePath.writeUInt8(1, 4);
    unicodePath.writeUInt32LE(crc32(dos), 5);
    another.copy(unicodePath, 9);
    const reader = await NupkgReader.open(
      zip([
        { name: 'grün', utf8: false },
        { name: dos, utf8: false, extra: unicodePath },
      ]),
    );
    expect(reader.files().map((file) => file.path)).toEqual(['A.nuspec', 'grün', 'dos-grün']);
  });

  it('may have folders, empty files, backslashes, data descriptors, comments and 64-bit sizes', async () => {
    const reader = await NupkgReader.open(
      zip(
        [
          { name: 'lib/', data: '' },
          { name: 'lib\\net45\\A.dll', data: 'backslash' },
          { name: 'lib/empty', data: '', method: 'store' },
          { name: 'lib/later', data: 'later', dataDescriptor: true },
          { name: 'lib/wide', data: 'wide', zip64: true, comment: 'wide' },
          { name: 'lib/widest', data: 'widest', zip64: true, dataDescriptor: true, method: 'store' },
        ],
        { comment: 'made by hand', gap: Buffer.from('a gap') },
      ),
    );
    await reader.checkEntries();
    await reader.checkContents();
    const texts = [];
    for (const { path } of reader.files().slice(1)) texts.push((await buffer(await reader.open(path))).toString());
    expect(texts).toEqual(['backslash', '', 'later', 'wide', 'widest']);
  });

  it('has types and may be signed', async () => {
    const signed = await NupkgReader.open(
      build({ packageTypes: [{ name: 'DotnetTool' }], signature: Buffer.from('s') }),
    );
    expect(await signed.packageTypes()).toEqual([{ name: 'DotnetTool', version: '0.0' }]);
    expect(signed.isSigned).toBe(true);
    expect((await NupkgReader.open(build())).isSigned).toBe(false);
    // NuGet takes no name that is marked as UTF-8 for the signature.
    expect((await NupkgReader.open(zip([{ name: '.signature.p7s', utf8: true }]))).isSigned).toBe(false);
  });

  it('gives the first of two files with one path', async () => {
    const reader = await NupkgReader.open(
      zip([
        { name: 'a', data: '1' },
        { name: '/a', data: '2' },
      ]),
    );
    expect(reader.files().map((file) => file.path)).toEqual(['A.nuspec', 'a']);
    expect((await reader.read('a')).toString()).toBe('1');
  });

  it('is read in few steps', async () => {
    const files = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`lib/net8.0/f${i}.dll`, 'x']));
    const bytes = build({ files });
    let reads = 0;
    const source = {
      size: bytes.length,
      read: async (at: number, length: number) => {
        reads++;
        return bytes.subarray(at, at + length);
      },
    };
    const reader = await NupkgReader.open(source);
    await reader.nuspec();
    await reader.checkEntries();
    expect(reader.files()).toHaveLength(304);
    expect(reads).toBeLessThan(10);
  });

  it('reads its nuspec once, and gives its bytes', async () => {
    const reader = await NupkgReader.open(build({ nuspecName: 'other.NuSpec' }));
    expect(reader.nuspecPath).toBe('other.NuSpec');
    expect(reader.nuspec()).toBe(reader.nuspec());
    expect((await reader.nuspecBytes()).toString()).toContain('<id>A.B</id>');
  });

  it('streams large files as they are', async () => {
    const large = Buffer.alloc(3 * MIB, 'abcdefg');
    for (const method of ['store', 'deflate'] as const) {
      const reader = await NupkgReader.open(zip([{ name: 'large', data: large, method }]));
      expect((await buffer(await reader.open('large'))).equals(large)).toBe(true);
      await expect(reader.read('large', MIB)).rejects.toMatchObject({ code: 'LIMIT' });
    }
  });

  it('says that a file is not there', async () => {
    const reader = await NupkgReader.open(build());
    await expect(reader.open('nope')).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    await expect(reader.read('lib')).rejects.toThrow('the package has no file "lib"');
  });
});

describe('a package that is closed', () => {
  it('gives nothing any more, ends open streams, and can be closed again', async () => {
    const path = join(folder, 'closing.nupkg');
    await writeFile(path, build({ files: { large: Buffer.alloc(2 * MIB, 'x'), stored: 'x' } }));
    const reader = await NupkgReader.open(path);
    const stream = await reader.open('large');
    const reading = expect(buffer(stream)).rejects.toMatchObject({ code: 'CLOSED' });
    await reader.close();
    await reading;
    await reader.close();
    for (const call of [() => reader.open('stored'), () => reader.read('stored'), () => reader.packageHash()]) {
      await expect(call()).rejects.toMatchObject({ code: 'CLOSED' });
    }
  });

  it('takes back a stream that was being opened', async () => {
    const reader = await NupkgReader.open(build({ files: { a: 'x' } }));
    const opening = expect(reader.open('a')).rejects.toMatchObject({ code: 'CLOSED' });
    await reader.close();
    await opening;
  });

  it('does not mind streams that were left early', async () => {
    const reader = await NupkgReader.open(build({ files: { large: Buffer.alloc(2 * MIB, 'x') } }));
    for await (const _chunk of await reader.open('large')) break;
    const never = await reader.open('large');
    never.destroy();
    await reader.close();
  });
});

describe('a file that is no package', () => {
  const twoNuspecs = ['B.nuspec', 'A.nuspec'].map((name) => ({
    name,
    data: `<package><metadata><id>${name.charAt(0)}</id><version>1.0</version></metadata></package>`,
  }));

  it.each<[string, Buffer, RegExp]>([
    ['empty', Buffer.alloc(0), /no whole ZIP archive/],
    ['HTML', Buffer.from('<html>Service Unavailable</html>'.repeat(100)), /no whole ZIP archive/],
    ['cut off at its end', zip([{ name: 'a', data: 'x' }], { truncate: 1 }), /no whole ZIP archive/],
    ['cut off in its directory', zip([{ name: 'a', data: 'x' }], { truncate: 40 }), /no whole ZIP archive/],
    ['an archive without entries', writeZip([]), /no nuspec/],
    ['without a nuspec', writeZip([{ name: 'a' }, { name: 'lib/a.nuspec' }]), /no nuspec at its root/],
    ['with two nuspecs', zip([{ name: 'b.NUSPEC' }]), /several nuspecs at its root: "A.nuspec", "b.NUSPEC"/],
    ['with one nuspec twice', zip([{ name: 'A.nuspec' }]), /several nuspecs/],
    ['with something behind its end', zip([], { suffix: Buffer.from('more') }), /no whole ZIP archive/],
    ['with more entries than it counts', zip([{ name: 'a' }], { entryCount: 1 }), /between its directory and the end/],
    ['with fewer entries than it counts', zip([{ name: 'a' }], { entryCount: 3 }), /no whole ZIP archive/],
    ['with a directory that is elsewhere', zip([], { directoryOffset: 3 }), /no whole ZIP archive/],
    ['with a directory behind its end', zip([], { directoryOffset: 3_000_000 }), /no whole ZIP archive/],
    ['of several disks', zip([], { diskNumber: 1 }), /multi-disk/],
    ['with another end record in its comment', endInComment(), /between its directory and the end/],
    [
      'with a 64-bit end that does not count all',
      zip([{ name: 'a' }], { zip64: true, entryCount: 1 }),
      /between its directory/,
    ],
    ['with an end of 64 bits for another directory', twoDirectories(), /name different directories/],
    ['with an end of 64 bits in a comment', endInEntryComment(), /name different directories/],
  ])('is refused: %s', async (_, bytes, message) => {
    expect(await failure(bytes)).toMatchObject({ code: 'INVALID_PACKAGE', message: expect.stringMatching(message) });
  });

  /** Read from the end it is one archive, and read from the first end record that it has it is another one. */
  function endInComment(): Buffer {
    const hidden = zip([]);
    const comment = writeZip([], { directoryOffset: hidden.indexOf('PK\x01\x02'), entryCount: 1 });
    return zip([], { comment });
  }

  /** By its end record of 64 bits it is the package of one nuspec, and by the other one that of two. */
  function twoDirectories(): Buffer {
    const last = writeZip(twoNuspecs, { zip64: true }).lastIndexOf('PK\x01\x02');
    const bytes = writeZip(twoNuspecs, { zip64: true, entryCount: 1, directoryOffset: last });
    bytes.writeUInt16LE(2, bytes.length - 22 + 10);
    bytes.writeUInt32LE(bytes.indexOf('PK\x01\x02'), bytes.length - 22 + 16);
    return bytes;
  }

  /** The same, with the end record of 64 bits in the comment of the last entry. */
  function endInEntryComment(): Buffer {
    const bytes = writeZip(twoNuspecs.map((entry) => ({ ...entry, comment: ' '.repeat(76) })));
    const hidden = writeZip([], { zip64: true, entryCount: 1, directoryOffset: bytes.lastIndexOf('PK\x01\x02') });
    const at = bytes.length - 22 - 76;
    hidden.writeBigUInt64LE(BigInt(at), 56 + 8);
    hidden.copy(bytes, at, 0, 76);
    return bytes;
  }

  it('leaves the errors of the system as they are', async () => {
    await expect(NupkgReader.open(join(folder, 'nothing.nupkg'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(NupkgReader.open(folder)).rejects.toMatchObject({ code: 'EISDIR' });
    const failing = {
      size: 1000,
      read: () => Promise.reject(Object.assign(new Error('disk'), { syscall: 'read', code: 'EIO' })),
    };
    await expect(NupkgReader.open(failing)).rejects.toMatchObject({ code: 'EIO' });
  });
});

describe('an entry that lies', () => {
  const data = Buffer.from('x'.repeat(5000));

  it.each<[string, ZipEntryInit, RegExp]>([
    ['a CRC that differs', { name: 'e', data, crc32: 1 }, /is damaged: its CRC differs/],
    ['a CRC that differs, stored', { name: 'e', data, crc32: 1, method: 'store' }, /is damaged/],
    ['a longer size', { name: 'e', data, uncompressedSize: 5001 }, /has 5000 bytes, not the 5001/],
    ['a shorter size', { name: 'e', data, uncompressedSize: 4999 }, /is longer than the 4999/],
    [
      'a size of its own, stored',
      { name: 'e', data, uncompressedSize: 4999, method: 'store' },
      /size mismatch for stored/,
    ],
    ['fewer bytes compressed', { name: 'e', data, compressedSize: 5 }, /can't be read: unexpected end of file/],
    ['more bytes compressed than there are', { name: 'e', data, compressedSize: 10_000 }, /overlaps/],
    [
      'bytes behind its data',
      { name: 'e', data, raw: Buffer.concat([deflateRawSync(data), Buffer.alloc(7)]) },
      /7 bytes behind/,
    ],
    ['no deflated data', { name: 'e', data, raw: Buffer.alloc(50, 0xff) }, /can't be read: invalid/],
    ['another name at its data', { name: 'e', data, localName: 'f' }, /has another name where its data is: "f"/],
    ['a longer name at its data', { name: 'e', data, localName: 'ef', raw: data.subarray(0, 9) }, /has another name/],
    ['encryption', { name: 'e', data, flags: 1 }, /is encrypted/],
    ['strong encryption', { name: 'e', data, flags: 0x41 }, /strong encryption/],
    ['a method that nobody has', { name: 'e', data, method: 12 }, /compressed by method 12/],
    ['an offset that is none', { name: 'e', data, offset: 7 }, /overlaps|is not where/],
    ['the data of another entry', { name: 'e', sharesDataOf: 0 }, /overlaps/],
    ['extra fields that are none', { name: 'e', data, extra: Buffer.from([1, 0, 99, 0]) }, /extra field length/],
  ])('is found out: %s', async (_, entry, message) => {
    const bytes = zip([entry]);
    expect(await failure(bytes)).toMatchObject({ code: 'INVALID_PACKAGE', message: expect.stringMatching(message) });
  });

  it('is found out in one piece, too', async () => {
    for (const lie of [
      { crc32: 1 },
      { uncompressedSize: 5001 },
      { uncompressedSize: 4999 },
      { raw: Buffer.alloc(50, 0xff) },
    ]) {
      const reader = await NupkgReader.open(zip([{ name: 'e', data, ...lie }]));
      await expect(reader.read('e')).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    }
  });

  it('is found out when another method is where its data is', async () => {
    const bytes = Buffer.from(zip([{ name: 'e', data }]));
    bytes.writeUInt16LE(0, bytes.indexOf('PK\x03\x04', 10) + 8);
    expect((await failure(bytes)).message).toMatch(/another method/);
  });

  it('is found out when its data would run into the next one', async () => {
    const bytes = Buffer.from(zip([{ name: 'e', data, method: 'store' }]));
    bytes.writeUInt16LE(200, bytes.indexOf('PK\x03\x04', 10) + 28);
    expect((await failure(bytes)).message).toMatch(/runs into what comes after it/);
  });

  it('is found out whatever byte of a package is changed', async () => {
    const whole = build({ files: { 'lib/net8.0/A.dll': data.subarray(0, 200) } });
    const contents = async (bytes: Buffer) => {
      const reader = await NupkgReader.open(bytes);
      await reader.checkContents();
      const all = [];
      for (const { path } of reader.files()) all.push(path, (await reader.read(path)).toString('latin1'));
      return all;
    };
    const names = (await contents(whole)).filter((_, i) => i % 2 === 0);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, bits) => {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= bits;
        let found: string[];
        try {
          found = await contents(bytes);
        } catch (error) {
          expect(['INVALID_PACKAGE', 'LIMIT']).toContain((error as NuGetError).code);
          return;
        }
        // What may change unnoticed is names, of both headers at once or none, and what is not content: times, flags.
        expect(found.filter((_, i) => i % 2 === 0)).toHaveLength(names.length);
        expect(found.filter((_, i) => i % 2 === 1)).toEqual((await contents(whole)).filter((_, i) => i % 2 === 1));
      }),
      { numRuns: 300 },
    );
  });
});

describe('a bomb', () => {
  it('is stopped by what it says that it becomes', async () => {
    const zeros = Buffer.alloc(64 * MIB);
    const bomb = zip([{ name: 'zeros', data: zeros }]);
    expect(bomb.length).toBeLessThan(100_000);
    expect(await failure(bomb)).toMatchObject({
      code: 'LIMIT',
      message: expect.stringMatching(/"zeros" of \d+ bytes that says it becomes 67108864/),
    });
    await NupkgReader.open(bomb, { limits: { maxRatio: 2000 } });
  });

  it('is stopped while it is read when it says less', async () => {
    const bomb = zip([{ name: 'zeros', data: Buffer.alloc(8 * MIB), uncompressedSize: 1000 }]);
    const reader = await NupkgReader.open(bomb);
    await expect(reader.read('zeros')).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    let length = 0;
    await expect(async () => {
      for await (const chunk of await reader.open('zeros')) length += (chunk as Buffer).length;
    }).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    expect(length).toBeLessThanOrEqual(1000);
  });

  it('does not get its entries to share data', async () => {
    const kernel: ZipEntryInit = { name: 'f0', data: Buffer.alloc(MIB) };
    const copies = Array.from({ length: 2000 }, (_, i) => ({ name: `f${i + 1}`, sharesDataOf: 1 }));
    expect(await failure(zip([kernel, ...copies]))).toMatchObject({
      code: 'INVALID_PACKAGE',
      message: expect.stringMatching(/overlaps/),
    });
  });

  it.each<[string, Buffer, PackageLimits]>([
    ['entries', zip([{ name: 'a' }, { name: 'b' }]), { maxEntries: 2 }],
    [
      'bytes in all',
      zip([
        { name: 'a', data: 'x'.repeat(600) },
        { name: 'b', data: 'x'.repeat(600) },
      ]),
      { maxTotalBytes: 1200 },
    ],
    ['bytes of one entry', zip([{ name: 'a', data: 'x'.repeat(600) }]), { maxEntryBytes: 599 }],
  ])('is stopped by the limit on %s', async (_, bytes, limits) => {
    expect(await failure(bytes, limits)).toMatchObject({ code: 'LIMIT' });
  });

  it('is stopped by the limit on the directory', async () => {
    const padding = Buffer.alloc(60_000);
    padding.writeUInt16LE(0x9999, 0);
    padding.writeUInt16LE(padding.length - 4, 2);
    const entries = Array.from({ length: 600 }, (_, i) => ({ name: `f${i}`, extra: padding }));
    expect(await failure(zip(entries))).toMatchObject({
      code: 'LIMIT',
      message: expect.stringMatching(/a directory of/),
    });
  });

  it('is no nuspec', async () => {
    const nuspec = `<package><metadata><id>A</id><version>1.0</version>${' '.repeat(5 * MIB)}</metadata></package>`;
    const reader = await NupkgReader.open(build({ nuspec }));
    await expect(reader.nuspec()).rejects.toMatchObject({ code: 'LIMIT' });
    const roomy = await NupkgReader.open(build({ nuspec }), { limits: { maxNuspecBytes: 10 * MIB } });
    expect(await roomy.nuspec()).toMatchObject({ id: 'A' });
  });
});

describe('the content hash', () => {
  it('is the hash of the file when there is no signature', async () => {
    const bytes = build();
    const reader = await NupkgReader.open(bytes);
    expect(await reader.contentHash()).toBe(sha512(bytes));
    expect(await reader.packageHash('sha256')).toBe(createHash('sha256').update(bytes).digest('base64'));
  });

  it('is the hash of the package before it was signed', async () => {
    const signature = Buffer.alloc(9000, 'signature');
    const signed = await NupkgReader.open(build({ signature }));
    expect(await signed.contentHash()).toBe(sha512(build()));
    expect(await signed.packageHash()).toBe(sha512(build({ signature })));
  });

  it('is the same wherever the signature lies', async () => {
    const files: ZipEntryInit[] = ['A.nuspec', 'b', 'c'].map((name) => ({
      name,
      data: `<package>${name.repeat(50)}</package>`,
      dataDescriptor: name === 'b',
      comment: name === 'c' ? 'comment' : undefined,
    }));
    const unsigned = writeZip(files, { comment: 'the end' });
    for (let at = 0; at <= files.length; at++) {
      const entries = files.toSpliced(at, 0, { name: '.signature.p7s', data: 'signed', method: 'store' });
      const reader = await NupkgReader.open(writeZip(entries, { comment: 'the end' }));
      expect(await reader.contentHash()).toBe(sha512(unsigned));
    }
  });

  it('is refused for two signatures and for 64-bit archives', async () => {
    const signature: ZipEntryInit = { name: '.signature.p7s', data: 's', method: 'store' };
    const twice = await NupkgReader.open(zip([signature, signature]));
    await expect(twice.contentHash()).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    const wide = await NupkgReader.open(zip([{ ...signature, zip64: true }]));
    await expect(wide.contentHash()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  it('can be given up', async () => {
    const reader = await NupkgReader.open(build({ signature: Buffer.from('s') }));
    const reason = new Error('enough');
    await expect(reader.contentHash(AbortSignal.abort(reason))).rejects.toBe(reason);
    await expect(reader.packageHash('sha512', AbortSignal.abort(reason))).rejects.toBe(reason);
    await expect(reader.checkEntries(AbortSignal.abort(reason))).rejects.toBe(reason);
    await expect(reader.checkContents(AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('notices a file that became shorter', async () => {
    const bytes = zip([{ name: 'large', data: Buffer.alloc(MIB), method: 'store' }]);
    let gone = false;
    const source = {
      size: bytes.length,
      read: async (at: number, length: number) => (gone ? Buffer.alloc(0) : bytes.subarray(at, at + length)),
    };
    const reader = await NupkgReader.open(source);
    gone = true;
    await expect(reader.packageHash()).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
  });
});
