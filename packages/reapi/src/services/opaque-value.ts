import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Digest, DigestFunction } from '@granary/blobs';
import { type ActionResult, ActionResultSchema } from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { scanActionResult } from '../wire/index.js';

const MARK = 'granary: the value is the standard output';
const MARK_BYTES = Buffer.from(MARK);
const MOST_LARGE_BYTES = 512;

/** Whether these bytes are an action result, which not everything is that HTTP clients keep under the names of actions. */
export function isActionResult(bytes: Buffer, fn: DigestFunction): boolean {
  try {
    scanActionResult(bytes, fn);
    return true;
  } catch {
    return false;
  }
}

/**
 * What stands under the name of an action for a value that is kept as a blob, because it is too large to be kept among
 * action results: a result with the value as its standard output. To everything that knows results (completeness check,
 * eviction, other servers) it is one like any other.
 */
export function encodeLargeValue({ hash, size }: Digest): Buffer {
  const stdoutDigest = { hash, sizeBytes: BigInt(size) };
  const result = create(ActionResultSchema, { stdoutDigest, executionMetadata: { worker: MARK } });
  return Buffer.from(toBinary(ActionResultSchema, result));
}

/** The blob for which {@link encodeLargeValue} stands; undefined when the bytes are anything else. */
export function decodeLargeValue(bytes: Buffer, { function: fn }: Pick<Digest, 'function'>): Digest | undefined {
  if (bytes.length > MOST_LARGE_BYTES || !decodeMarked(bytes) || !isActionResult(bytes, fn)) return undefined;
  return scanActionResult(bytes, fn).stdout;
}

/** How a value that is no action result travels where there is no place for anything else: with its bytes in a result. */
export function encodeOpaqueValue(value: Buffer): Buffer {
  const result = create(ActionResultSchema, { stdoutRaw: value, executionMetadata: { worker: MARK } });
  return Buffer.from(toBinary(ActionResultSchema, result));
}

/** The value that {@link encodeOpaqueValue} was given; undefined when the bytes are anything else. */
export function decodeOpaqueValue(bytes: Buffer): Buffer | undefined {
  const result = decodeMarked(bytes);
  if (!result || result.stdoutDigest) return undefined;
  const { buffer, byteOffset, length } = result.stdoutRaw;
  return Buffer.from(buffer, byteOffset, length);
}

function decodeMarked(bytes: Buffer): ActionResult | undefined {
  if (!bytes.includes(MARK_BYTES, -MOST_LARGE_BYTES)) return undefined;
  try {
    const result = fromBinary(ActionResultSchema, bytes);
    return result.executionMetadata?.worker === MARK ? result : undefined;
  } catch {
    return undefined;
  }
}
