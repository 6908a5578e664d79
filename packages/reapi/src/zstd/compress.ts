import { coalesce } from './coalesce.js';
import { type AddonCodec, availableEngines, SYNC_BYTES, type ZstdEngines } from './engines.js';
import { throughTransform } from './through-transform.js';
import { ZstdError } from './zstd-error.js';

const INPUT_BYTES = 64 * 1024;
const OUTPUT_BYTES = 128 * 1024;
/** Content of one frame where a stream is compressed piece by piece. */
const FRAME_BYTES = 256 * 1024;

/** What this process can do, which is what a server may offer in its capabilities. */
export function zstdSupport(): { readonly compress: boolean; readonly decompress: boolean } {
  const { addon, node } = availableEngines();
  return { compress: addon !== undefined || node !== undefined, decompress: true };
}

/**
 * Compresses a buffer into one frame, small ones on the spot and larger ones in another thread.
 *
 * @throws ZstdError `UNSUPPORTED`, see {@link zstdSupport}
 */
export async function compress(input: Uint8Array, engines: ZstdEngines = availableEngines()): Promise<Buffer> {
  const { addon } = engines;
  if (addon) {
    const bytes = Buffer.from(input.buffer, input.byteOffset, input.length);
    return bytes.length <= SYNC_BYTES ? addon.encodeSync(bytes) : addon.encode(bytes);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of compressStream(once(input), engines)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * Compresses chunks of any size while they arrive: into one frame where Node can, otherwise into one frame for each
 * 256 KiB. No input becomes an empty frame. A chunk that it yields belongs to the consumer.
 *
 * @throws ZstdError `UNSUPPORTED`, see {@link zstdSupport}; and what the source throws
 */
export async function* compressStream(
  source: AsyncIterable<Uint8Array>,
  engines: ZstdEngines = availableEngines(),
): AsyncGenerator<Buffer> {
  const { addon, node } = engines;
  if (node)
    yield* throughTransform(coalesce(source, INPUT_BYTES), node.createZstdCompress({ chunkSize: OUTPUT_BYTES }));
  else if (addon) yield* compressFrames(source, addon);
  else throw new ZstdError('UNSUPPORTED', 'this process can not compress with Zstandard');
}

async function* compressFrames(source: AsyncIterable<Uint8Array>, addon: AddonCodec): AsyncGenerator<Buffer> {
  let frames = 0;
  for await (const chunk of coalesce(source, FRAME_BYTES)) {
    yield await addon.encode(chunk);
    frames++;
  }
  if (frames === 0) yield addon.encodeSync(Buffer.alloc(0));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
