import type { Transform } from 'node:stream';
import zlib from 'node:zlib';
import { ZstdFrames } from './zstd-frames.js';

/** Takes one encoding off. */
export interface Decoder {
  readonly stream: Transform;
  /** Follows what goes in, where the stream itself doesn't notice that its input is cut off. */
  readonly frames?: ZstdFrames;
}

export type MakeDecoder = (firstChunk: Buffer) => Decoder;

const inflate: MakeDecoder = (chunk) =>
  // "deflate" means zlib's format, but some servers send the bare stream. Zlib's first byte ends in 8, that of a bare
  // stream practically never.
  ({ stream: ((chunk[0] as number) & 0x0f) === 8 ? zlib.createInflate() : zlib.createInflateRaw() });

// Newer runtimes have it, and the types of the oldest one don't.
const { createZstdDecompress } = zlib as { createZstdDecompress?: () => Transform };

const zstd: [string, MakeDecoder][] =
  createZstdDecompress === undefined
    ? []
    : [['zstd', () => ({ stream: createZstdDecompress(), frames: new ZstdFrames() })]];

export const DECODERS: ReadonlyMap<string, MakeDecoder> = new Map<string, MakeDecoder>([
  ['gzip', () => ({ stream: zlib.createGunzip() })],
  ['x-gzip', () => ({ stream: zlib.createGunzip() })],
  ['deflate', inflate],
  ['br', () => ({ stream: zlib.createBrotliDecompress() })],
  ...zstd,
]);

/** What `Accept-Encoding` says when the caller says nothing. */
export const ACCEPTED_ENCODINGS = ['gzip', 'deflate', 'br', 'zstd'].filter((name) => DECODERS.has(name)).join(', ');
