import { createRequire } from 'node:module';
import type { Transform } from 'node:stream';
import zlib from 'node:zlib';

/** The addon's codec for whole buffers. Its output is not bounded: who decodes with it has bounded the input's. */
export interface AddonCodec {
  encode(data: Buffer): Promise<Buffer>;
  encodeSync(data: Buffer): Buffer;
  decode(data: Buffer): Promise<Buffer>;
  decodeSync(data: Buffer): Buffer;
}

/** Node's own Zstandard, from 22.15 on; the types of the oldest supported Node don't have it. */
export interface NodeZstd {
  createZstdCompress(options: NodeZstdOptions): Transform;
  createZstdDecompress(options: NodeZstdOptions): Transform;
}

interface NodeZstdOptions {
  readonly chunkSize: number;
  readonly params?: Readonly<Record<number, number>>;
}

/** Up to this size the addon is called on the spot: another thread would cost more than it saves. */
export const SYNC_BYTES = 32 * 1024;

/** Compression level: zstd's own default, a good ratio at about 1 GB/s. */
const LEVEL = 3;

/** What this process can do Zstandard with; a test can leave one out. */
export interface ZstdEngines {
  readonly addon: AddonCodec | undefined;
  readonly node: NodeZstd | undefined;
}

let engines: ZstdEngines | undefined;

/** The engines that are there, looked for when they are first needed. */
export function availableEngines(): ZstdEngines {
  engines ??= { addon: loadAddon(), node: nodeZstd() };
  return engines;
}

/** Undefined on a platform that the addon has no binary for. */
function loadAddon(): AddonCodec | undefined {
  try {
    const require = createRequire(import.meta.url);
    const { Encoder, Decoder } = require('@toondepauw/node-zstd') as typeof import('@toondepauw/node-zstd');
    const encoder = new Encoder(LEVEL);
    const decoder = new Decoder();
    return {
      encode: (data) => encoder.encode(data),
      encodeSync: (data) => encoder.encodeSync(data),
      decode: (data) => decoder.decode(data),
      decodeSync: (data) => decoder.decodeSync(data),
    };
  } catch {
    return undefined;
  }
}

function nodeZstd(): NodeZstd | undefined {
  return 'createZstdDecompress' in zlib ? (zlib as unknown as NodeZstd) : undefined;
}
