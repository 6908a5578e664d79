import { DIGEST_FUNCTIONS, Digest } from '@granary/blobs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkInstanceName,
  formatBlobName,
  formatUploadName,
  parseBlobName,
  parseUploadName,
  ResourceNameError,
} from './resource-name.js';

const HASH = 'ab'.repeat(32);
const RESERVED = ['blobs', 'compressed-blobs', 'uploads', 'actions', 'actionResults', 'operations', 'capabilities'];

const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  .filter((text) => !text.includes('/') && !RESERVED.includes(text));
const instance = fc.array(segment, { maxLength: 4 }).map((segments) => segments.join('/'));
const digest = fc
  .tuple(fc.constantFrom(...DIGEST_FUNCTIONS), fc.uint8Array({ maxLength: 4 }), fc.maxSafeInteger())
  .map(([fn, bytes, size]) => Digest.parse(fn, Digest.of(fn, bytes).hash, Math.abs(size)));
const compressor = fc.constantFrom('identity' as const, 'zstd' as const);

describe('a resource name', () => {
  it('reads back as it was written', () => {
    fc.assert(
      fc.property(instance, digest, compressor, segment, (inst, dig, comp, uuid) => {
        const blob = parseBlobName(formatBlobName({ instance: inst, digest: dig, compressor: comp }));
        expect([blob.instance, blob.digest.function, `${blob.digest}`, blob.compressor]).toEqual([
          inst,
          dig.function,
          `${dig}`,
          comp,
        ]);
        const upload = parseUploadName(formatUploadName({ instance: inst, digest: dig, compressor: comp, uuid }));
        expect(upload).toEqual({ ...blob, uuid });
      }),
    );
  });

  it.each([
    [`blobs/${HASH}/5`, { instance: '', function: 'sha256', compressor: 'identity' }],
    [`a/b/c/blobs/${HASH}/5`, { instance: 'a/b/c', function: 'sha256', compressor: 'identity' }],
    [`blobs/blake3/${HASH}/5`, { instance: '', function: 'blake3', compressor: 'identity' }],
    [`blobs/sha256/${HASH}/5`, { instance: '', function: 'sha256', compressor: 'identity' }],
    [`blobs/${'ab'.repeat(20)}/5`, { instance: '', function: 'sha1', compressor: 'identity' }],
    [`i/compressed-blobs/zstd/${HASH}/5`, { instance: 'i', function: 'sha256', compressor: 'zstd' }],
    [`compressed-blobs/zstd/blake3/${HASH}/5`, { instance: '', function: 'blake3', compressor: 'zstd' }],
    [`/blobs/${HASH}/5`, { instance: '', function: 'sha256', compressor: 'identity' }],
    [`/a/blobs/${HASH}/5`, { instance: 'a', function: 'sha256', compressor: 'identity' }],
  ])('%s names a blob', (name, expected) => {
    const blob = parseBlobName(name);
    expect({ instance: blob.instance, function: blob.digest.function, compressor: blob.compressor }).toEqual(expected);
    expect(blob.digest.size).toBe(5);
  });

  it('of an upload may end in metadata, which is dropped', () => {
    for (const metadata of ['', '/name.o', '/a/blobs/c', '/'])
      expect(parseUploadName(`i/uploads/u-1/blobs/${HASH}/7${metadata}`)).toMatchObject({ instance: 'i', uuid: 'u-1' });
  });

  it('takes any identifier of an upload within its length', () => {
    expect(parseUploadName(`uploads/not a uuid/blobs/${HASH}/7`).uuid).toBe('not a uuid');
    expect(() => parseUploadName(`uploads/${'u'.repeat(257)}/blobs/${HASH}/7`)).toThrow(ResourceNameError);
  });

  it.each([
    '',
    '/',
    'blobs',
    `blobs/${HASH}`,
    `blobs/${HASH}/`,
    `blobs/${HASH}/5/`,
    `blobs/${HASH}/5/more`,
    `blobs/${HASH}/-5`,
    `blobs/${HASH}/+5`,
    `blobs/${HASH}/05`,
    `blobs/${HASH}/5.0`,
    `blobs/${HASH}/9007199254740992`,
    `blobs/${HASH}/99999999999999999999`,
    `blobs/${HASH.toUpperCase()}/5`,
    `blobs/${HASH.slice(1)}/5`,
    `blobs/${HASH}0/5`,
    `blobs/sha1/${HASH}/5`,
    `blobs/murmur3/${HASH}/5`,
    `blobs/SHA256/${HASH}/5`,
    `//blobs/${HASH}/5`,
    `/a//blobs/${HASH}/5`,
    `a//blobs/${HASH}/5`,
    `a/blobs/b/blobs/${HASH}/5`,
    `actions/blobs/${HASH}/5`,
    `a/operations/blobs/${HASH}/5`,
    `compressed-blobs/${HASH}/5`,
    `compressed-blobs/identity/${HASH}/5`,
    `compressed-blobs/brotli/${HASH}/5`,
    `uploads/u/blobs/${HASH}/5`,
    `${'i/'.repeat(5000)}blobs/${HASH}/5`,
  ])('%# is refused: %s', (name) => {
    expect(() => parseBlobName(name)).toThrow(ResourceNameError);
  });

  it.each([
    `blobs/${HASH}/5`,
    'uploads',
    'uploads/u',
    `uploads//blobs/${HASH}/5`,
    `uploads/blobs/${HASH}/5`,
    `a/actions/uploads/u/blobs/${HASH}/5`,
    `uploads/u/x/blobs/${HASH}/5`,
    `uploads/u/blobs/${HASH}/x`,
  ])('of an upload is refused: %s', (name) => {
    expect(() => parseUploadName(name)).toThrow(ResourceNameError);
  });

  it('is a name or an error, whatever it is made of', () => {
    const piece = fc.oneof(fc.constantFrom(...RESERVED, HASH, 'zstd', 'blake3', '', '5', '-1'), fc.string());
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        for (const parse of [parseBlobName, parseUploadName])
          try {
            parse(pieces.join('/'));
          } catch (error) {
            expect(error).toBeInstanceOf(ResourceNameError);
          }
      }),
    );
  });

  it('does not repeat a huge name in its error', () => {
    expect(() => parseBlobName('x'.repeat(100_000))).toThrow(/^.{1,300}$/s);
  });
});

describe('an instance name', () => {
  it('may be empty or have slashes', () => {
    for (const name of ['', 'main', 'a/b', 'blob', 'Blobs']) expect(() => checkInstanceName(name)).not.toThrow();
  });

  it.each(['/', 'a/', '/a', 'a//b', ...RESERVED, 'a/uploads/b', 'x'.repeat(9000)])('is refused: %s', (name) => {
    expect(() => checkInstanceName(name)).toThrow(ResourceNameError);
  });

  it('is checked before it gets into a resource name', () => {
    const blob = { digest: Digest.parse('sha256', HASH, 1), compressor: 'identity' } as const;
    expect(() => formatBlobName({ ...blob, instance: 'a/blobs' })).toThrow(ResourceNameError);
    expect(() => formatUploadName({ ...blob, instance: 'a', uuid: 'a/b' })).toThrow(ResourceNameError);
  });
});
