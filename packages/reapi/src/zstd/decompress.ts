import { setImmediate } from 'node:timers/promises';
import { Decompress } from 'fzstd';
import { coalesce } from './coalesce.js';
import { type AddonCodec, availableEngines, type NodeZstd, SYNC_BYTES, type ZstdEngines } from './engines.js';
import { FrameScanner, MAX_WINDOW_BYTES, tooLarge } from './frame-scanner.js';
import { throughTransform } from './through-transform.js';
import { ZstdError } from './zstd-error.js';

/** Input is handed to a decoder in pieces of this size. */
const INPUT_BYTES = 64 * 1024;
const OUTPUT_BYTES = 128 * 1024;

/** How far the size that blocks could have may pass the limit, if they are to be decoded in one go. */
const ONE_GO_SLACK = 256 * 1024;

/** Input in a row that may come to nothing: empty blocks, skippable frames. */
const MAX_IDLE_BYTES = 1024 * 1024;

/** Bytes that the decoder in JavaScript moves before it lets others run; each block moves the whole window. */
const TURN_BYTES = 4 * 1024 * 1024;

const WINDOW_LOG_MAX = Math.log2(MAX_WINDOW_BYTES);
/** `ZSTD_d_windowLogMax`, which the types of the oldest supported Node don't have. */
const WINDOW_LOG_MAX_PARAMETER = 100;

/**
 * Decompresses frames that are all in memory, one behind the other. No input becomes a content without frames.
 *
 * @param maxBytes decoding stops as soon as the content would be larger
 * @throws ZstdError `MALFORMED`, also for input that ends early or has something behind its end; `TOO_LARGE` for
 *   more than `maxBytes`, or a window of more than 8 MiB; `UNSUPPORTED` for a dictionary
 */
export async function decompress(
  input: Uint8Array,
  maxBytes: number,
  engines: ZstdEngines = availableEngines(),
): Promise<Buffer> {
  const scanner = new FrameScanner(maxBytes);
  for (let pos = 0; pos < input.length; ) pos = scanner.advance(input, pos);
  scanner.end();
  if (input.length === 0) return Buffer.alloc(0);
  // The addon has no limit of its own: it gets what can't grow far beyond the limit whatever the blocks hold.
  if (engines.addon && scanner.bound <= maxBytes + ONE_GO_SLACK) return decodeWhole(engines.addon, input, maxBytes);

  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of decompressStream(once(input), maxBytes, engines)) {
    chunks.push(Buffer.from(chunk));
    bytes += chunk.length;
  }
  return Buffer.concat(chunks, bytes);
}

async function decodeWhole(addon: AddonCodec, input: Uint8Array, maxBytes: number): Promise<Buffer> {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.length);
  let content: Buffer;
  try {
    content = bytes.length <= SYNC_BYTES ? addon.decodeSync(bytes) : await addon.decode(bytes);
  } catch (error) {
    throw malformed(error);
  }
  if (content.length > maxBytes) throw tooLarge(maxBytes);
  return content;
}

/**
 * Decompresses frames while they arrive, in chunks of any size. Needs memory for one window and a few chunks; a chunk
 * that it yields belongs to the consumer.
 *
 * @param maxBytes decoding stops as soon as the content would be larger
 * @throws ZstdError as {@link decompress} does, once what came before has been delivered; and what the source throws
 */
export async function* decompressStream(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
  engines: ZstdEngines = availableEngines(),
): AsyncGenerator<Buffer> {
  const progress = { idle: 0 };
  const scanner = new FrameScanner(maxBytes);
  const input = watched(coalesce(source, INPUT_BYTES), progress);
  const output = engines.node ? decodeWithNode(input, scanner, engines.node) : decodeWithJavaScript(input, scanner);
  let bytes = 0;
  for await (const chunk of output) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    if (chunk.length === 0) continue;
    progress.idle = 0;
    yield chunk;
  }
}

/** Ends an input of which too much in a row came to nothing: without output no other limit would. */
async function* watched(chunks: AsyncIterable<Buffer>, progress: { idle: number }): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    progress.idle += chunk.length;
    if (progress.idle > MAX_IDLE_BYTES)
      throw new ZstdError('MALFORMED', `${MAX_IDLE_BYTES} compressed bytes in a row hold nothing`);
    yield chunk;
  }
}

async function* decodeWithNode(
  input: AsyncIterable<Buffer>,
  scanner: FrameScanner,
  node: NodeZstd,
): AsyncGenerator<Buffer> {
  const stream = node.createZstdDecompress({
    chunkSize: OUTPUT_BYTES,
    params: { [WINDOW_LOG_MAX_PARAMETER]: WINDOW_LOG_MAX },
  });
  let ours: unknown;
  let isEmpty = true;
  const pieces = async function* () {
    try {
      for await (const piece of wholeFrames(input, scanner)) {
        isEmpty = false;
        yield piece;
      }
    } catch (error) {
      ours = error;
      throw error;
    }
  };
  try {
    yield* throughTransform(pieces(), stream);
  } catch (error) {
    if (ours) throw ours;
    // From version 24 on, Node takes the end of nothing for an early end.
    if (!isEmpty) throw malformed(error);
  }
}

/** Cuts the input at the ends of frames, behind which Node's decoder drops the rest of a write, without skippable ones. */
async function* wholeFrames(input: AsyncIterable<Buffer>, scanner: FrameScanner): AsyncGenerator<Buffer> {
  let held: Buffer | undefined;
  for await (const chunk of input) {
    let start = 0;
    for (let pos = 0; pos < chunk.length; ) {
      pos = scanner.advance(chunk, pos);
      if (scanner.element === 'skippable') {
        held = undefined;
        start = pos;
      } else if (pos === chunk.length || (scanner.frameEnded && scanner.complete)) {
        const piece = held ? Buffer.concat([held, chunk.subarray(start, pos)]) : chunk.subarray(start, pos);
        held = undefined;
        start = pos;
        // The beginning of a header does not tell yet whether its frame is to be skipped.
        if (scanner.element === 'header' && !scanner.complete) held = Buffer.from(piece);
        else yield piece;
      }
    }
  }
  scanner.end();
}

/** fzstd is handed one whole block at a time, so that one turn makes no more than a block. */
async function* decodeWithJavaScript(input: AsyncIterable<Buffer>, scanner: FrameScanner): AsyncGenerator<Buffer> {
  let output: Uint8Array[] = [];
  let decoder: Decompress | undefined;
  let header: Buffer | undefined;
  let parts: Buffer[] = [];
  let moved = 0;
  for await (const chunk of input) {
    for (let pos = 0; pos < chunk.length; ) {
      const before = pos;
      pos = scanner.advance(chunk, pos);
      parts.push(chunk.subarray(before, pos));
      if (!scanner.complete) continue;
      const element = Buffer.concat(parts);
      parts = [];
      if (scanner.element === 'header') header = element;
      else if (scanner.element === 'block' && (scanner.blockBound > 0 || scanner.frameEnded)) {
        decoder ??= new Decompress((bytes) => output.push(bytes));
        pushBlock(decoder, header ? Buffer.concat([header, element]) : element, scanner.frameEnded);
        header = undefined;
        if (scanner.frameEnded) decoder = undefined;
        for (const bytes of output) yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
        output = [];
        moved += scanner.windowBytes;
        if (moved < TURN_BYTES) continue;
        moved = 0;
        await setImmediate();
      }
    }
    // The input's memory is used again.
    if (parts.length > 0) parts = [Buffer.concat(parts)];
  }
  scanner.end();
}

function pushBlock(decoder: Decompress, block: Buffer, isLast: boolean): void {
  try {
    decoder.push(block, isLast);
  } catch (error) {
    throw malformed(error);
  }
}

function malformed(cause: unknown): ZstdError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ZstdError('MALFORMED', `the compressed data is damaged: ${why}`, { cause });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
