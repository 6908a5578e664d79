import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compress, compressStream, zstdSupport } from './compress.js';
import { decompress, decompressStream } from './decompress.js';
import { availableEngines, type ZstdEngines } from './engines.js';
import { MAX_WINDOW_BYTES } from './frame-scanner.js';
import { chunksOf, collect } from './testing/chunks.js';
import { ZstdError } from './zstd-error.js';

const all = availableEngines();
const none: ZstdEngines = { addon: undefined, node: undefined };

// What other runtimes and platforms have is made by leaving engines out.
const compressors: [string, ZstdEngines][] = [];
if (all.node) compressors.push(['node:zlib', { ...none, node: all.node }]);
if (all.addon) compressors.push(['the addon', { ...none, addon: all.addon }]);

const decompressors: [string, ZstdEngines][] = [['fzstd', none]];
if (all.addon) decompressors.push(['the addon and fzstd', { ...none, addon: all.addon }]);
if (all.node) decompressors.push(['node:zlib', { ...none, node: all.node }], ['all engines', all]);

const UNLIMITED = 1 << 30;

/** Content that compresses about as well as object files do. */
function content(bytes: number, seed = 0): Buffer {
  const lines = Array.from({ length: Math.min(700, Math.ceil(bytes / 64)) }, (_, line) =>
    createHash('sha256').update(`${seed} ${line}`).digest('hex'),
  );
  return Buffer.alloc(bytes, lines.join(''));
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ZstdError);
  return (error as ZstdError).code;
}

const uint24 = (value: number) => [value & 0xff, (value >> 8) & 0xff, value >> 16];
const block = (type: number, size: number, isLast: boolean) => uint24((size << 3) | (type << 1) | (isLast ? 1 : 0));
const frame = (descriptor: number, header: readonly number[], ...blocks: readonly (readonly number[])[]) =>
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd, descriptor, ...header, ...blocks.flat()]);
const skippable = (bytes: number) => {
  const out = Buffer.alloc(8 + bytes, 0x55);
  out.writeUInt32LE(0x184d2a53, 0);
  out.writeUInt32LE(bytes, 4);
  return out;
};

it('says what this process can do', () => {
  expect(zstdSupport()).toEqual({ compress: true, decompress: true });
});

describe.each(compressors)('what %s compressed', (_, engines) => {
  describe.each(decompressors)('comes back through %s', (_name, decoders) => {
    it.each([0, 1, 100, 32 * 1024, 32 * 1024 + 1, 300_000, 3_000_000])('from %i bytes at once', async (bytes) => {
      for (const plain of [content(bytes), randomBytes(bytes), Buffer.alloc(bytes)]) {
        const packed = await compress(plain, engines);
        expect((await decompress(packed, bytes, decoders)).equals(plain)).toBe(true);
      }
    });

    it.each([
      [0, 1],
      [1000, 1],
      [20_000, 3],
      [700_000, 1000],
      [3_000_000, 70_000],
      [9_000_000, 1 << 20],
    ])('as a stream of %i bytes in chunks of %i', async (bytes, size) => {
      const plain = content(bytes);
      const packed = await collect(compressStream(chunksOf(plain, size), engines));
      if (bytes > 100_000) expect(packed.length).toBeLessThan(bytes / 2);
      expect((await collect(decompressStream(chunksOf(packed, size), bytes, decoders))).equals(plain)).toBe(true);
      expect((await decompress(packed, bytes, decoders)).equals(plain)).toBe(true);
    });
  });
});

describe.each(decompressors)('decompressing with %s', (_, engines) => {
  const both = async (input: Uint8Array, maxBytes: number) => {
    const whole = await decompress(input, maxBytes, engines);
    for (const size of [1, 7, 4096])
      expect((await collect(decompressStream(chunksOf(input, size), maxBytes, engines))).equals(whole)).toBe(true);
    return whole;
  };
  const bothFail = async (input: Uint8Array, maxBytes = UNLIMITED) => {
    const code = await codeOf(decompress(input, maxBytes, engines));
    for (const size of [1, 4096])
      expect(await codeOf(collect(decompressStream(chunksOf(input, size), maxBytes, engines)))).toBe(code);
    return code;
  };

  it('decodes every frame, one behind the other, and skips those to be skipped', async () => {
    const parts = [content(5000, 1), Buffer.alloc(0), content(70_000, 2), Buffer.from('x'), content(300, 3)];
    const frames = await Promise.all(parts.map((part) => compress(part)));
    const input = Buffer.concat([skippable(0), ...frames.flatMap((packed) => [packed, skippable(100)])]);
    expect((await both(input, UNLIMITED)).equals(Buffer.concat(parts))).toBe(true);
  });

  it('takes no input for no content', async () => {
    expect(await both(Buffer.alloc(0), 0)).toHaveLength(0);
    expect(await both(skippable(9), 0)).toHaveLength(0);
  });

  it('decodes raw and repeated blocks, checksums and frames without a content size', async () => {
    const input = frame(0x00, [0x58], block(0, 3, false), [1, 2, 3], block(1, 1000, false), [7], block(0, 0, true));
    expect(await both(input, 1003)).toEqual(Buffer.concat([Buffer.from([1, 2, 3]), Buffer.alloc(1000, 7)]));
    // content size in each of its lengths
    for (const [descriptor, size] of [
      [0x20, [4]],
      [0x80, [0x58, 4, 0, 0, 0]],
      [0xa0, [4, 0, 0, 0]],
      [0xe0, [4, 0, 0, 0, 0, 0, 0, 0]],
    ] as const)
      expect(await both(frame(descriptor, size, block(0, 4, true), [9, 8, 7, 6]), 4)).toEqual(
        Buffer.from([9, 8, 7, 6]),
      );
    const long = Buffer.alloc(300, 3);
    expect(await both(frame(0x60, [44, 0], block(1, 300, true), [3]), 300)).toEqual(long);
  });

  it('stops where the content would be larger than it may be', async () => {
    const plain = content(1_000_000);
    for (const packed of [await compress(plain), await collect(compressStream(chunksOf(plain, 5000)))]) {
      expect((await decompress(packed, plain.length, engines)).equals(plain)).toBe(true);
      expect(await bothFail(packed, plain.length - 1)).toBe('TOO_LARGE');
      expect(await bothFail(packed, 0)).toBe('TOO_LARGE');
    }
  });

  it('is not blown up by a bomb', async () => {
    const blocks = Array.from({ length: 50_000 }, () => [...block(1, 128 * 1024, false), 0]);
    const bomb = frame(0x00, [0x58], ...blocks, block(0, 0, true));
    const before = process.memoryUsage().rss;
    expect(await codeOf(decompress(bomb, 1_000_000, engines))).toBe('TOO_LARGE');
    expect(await codeOf(collect(decompressStream(chunksOf(bomb, 100_000), 1_000_000, engines)))).toBe('TOO_LARGE');
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  });

  it('refuses a content size over the limit before it decodes anything', async () => {
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(1n << 60n);
    expect(await bothFail(frame(0xe0, [...size], block(0, 1, true), [1]))).toBe('TOO_LARGE');
  });

  it('refuses a window of more than 8 MiB, and takes one of 8', async () => {
    const windowLog = (log: number) => [(log - 10) << 3];
    expect(2 ** 23).toBe(MAX_WINDOW_BYTES);
    expect(await both(frame(0x00, windowLog(23), block(0, 1, true), [5]), 1)).toEqual(Buffer.from([5]));
    for (const header of [windowLog(24), windowLog(31), [((23 - 10) << 3) | 1], [0xff]])
      expect(await bothFail(frame(0x00, header, block(0, 1, true), [5]))).toBe('TOO_LARGE');
  });

  it('refuses input that ends early, wherever it does', async () => {
    const packed = Buffer.concat([
      frame(0x24, [2], block(0, 2, true), [1, 2], [0, 0, 0, 0]),
      await compress(content(2000)),
    ]);
    const boundary = 15;
    for (let length = 1; length < packed.length; length += length < 40 ? 1 : 97)
      if (length !== boundary) expect(await bothFail(packed.subarray(0, length))).toBe('MALFORMED');
    expect(await bothFail(skippable(20).subarray(0, 27))).toBe('MALFORMED');
  });

  it('refuses what is no Zstandard, in front or behind', async () => {
    const packed = await compress(Buffer.from('hello'));
    for (const input of [Buffer.from('this is plain text'), Buffer.concat([packed, Buffer.from('garbage')])])
      expect(await bothFail(input)).toBe('MALFORMED');
  });

  it('refuses damaged frames', async () => {
    expect(await bothFail(frame(0x28, [1], block(0, 1, true), [1]))).toBe('MALFORMED'); // reserved bit
    expect(await bothFail(frame(0x00, [0x58], block(3, 1, true), [1]))).toBe('MALFORMED'); // reserved block type
    expect(await bothFail(frame(0x00, [0x58], block(1, 200_000, true), [1]))).toBe('MALFORMED'); // block too large
    expect(await bothFail(frame(0x00, [0x58], block(2, 5, true), [3, 0xff, 0xff, 0xff, 0xff]))).toBe('MALFORMED');
    expect(await bothFail(frame(0x01, [0x58, 7], block(0, 1, true), [1]))).toBe('UNSUPPORTED'); // dictionary
  });

  it('ends an input that goes on without saying anything', async () => {
    let sent = 0;
    const empty = Buffer.from(block(0, 0, false));
    const endless = async function* () {
      yield frame(0x00, [0x58]);
      const many = Buffer.concat(Array(10_000).fill(empty));
      for (;;) {
        sent += many.length;
        yield many;
      }
    };
    expect(await codeOf(collect(decompressStream(endless(), 10, engines)))).toBe('MALFORMED');
    expect(sent).toBeLessThan(3 * 1024 * 1024);
  });

  it('passes on what its source throws, and closes a source that it no longer reads', async () => {
    const packed = await compress(randomBytes(2_000_000));
    const failing = async function* () {
      yield packed.subarray(0, 500_000);
      throw new RangeError('gone');
    };
    await expect(collect(decompressStream(failing(), UNLIMITED, engines))).rejects.toThrow(new RangeError('gone'));

    let closed = () => {};
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const watched = async function* () {
      try {
        for (;;) yield packed;
      } finally {
        closed();
      }
    };
    for await (const _chunk of decompressStream(watched(), UNLIMITED, engines)) break;
    await isClosed;
  });

  it('answers garbage and damaged frames with an error or content, never a crash', async () => {
    const seeds = await Promise.all([
      compress(content(3000)),
      compress(Buffer.from('abc')),
      compress(content(200_000)),
    ]);
    const damaged = fc
      .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 }))
      .map(([seed, changes]) => {
        const bytes = Buffer.from(seed);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        return bytes;
      });
    await fc.assert(
      fc.asyncProperty(fc.oneof(damaged, fc.uint8Array({ maxLength: 100 })), async (input) => {
        for (const run of [
          () => decompress(input, 1 << 20, engines),
          () => collect(decompressStream(chunksOf(input, 50), 1 << 20, engines)),
        ])
          try {
            expect((await run()).length).toBeLessThanOrEqual(1 << 20);
          } catch (error) {
            expect(error).toBeInstanceOf(ZstdError);
          }
      }),
      { numRuns: 150 },
    );
  });
});

describe('compressing', () => {
  it('is refused where nothing can do it', async () => {
    expect(await codeOf(compress(Buffer.from('x'), none))).toBe('UNSUPPORTED');
    expect(await codeOf(collect(compressStream(chunksOf(Buffer.from('x'), 1), none)))).toBe('UNSUPPORTED');
  });

  it.each(compressors)('with %s passes on what its source throws', async (_, engines) => {
    const failing = async function* () {
      yield Buffer.alloc(300_000);
      throw new RangeError('gone');
    };
    await expect(collect(compressStream(failing(), engines))).rejects.toThrow(new RangeError('gone'));
  });

  it.each(compressors)('with %s asks for no more than it can use', async (_, engines) => {
    let asked = 0;
    const endless = async function* () {
      for (;;) {
        asked += 65_536;
        yield randomBytes(65_536);
      }
    };
    for await (const _chunk of compressStream(endless(), engines)) break;
    expect(asked).toBeLessThan(4 * 1024 * 1024);
  });
});
