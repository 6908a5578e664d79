import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Digest } from '@granary/blobs';
import { ActionResultSchema } from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { scanActionResult } from '../wire/index.js';

const MARK = 'granary: the value is the standard output';
const MARK_BYTES = Buffer.from(MARK);
const MOST_BYTES = 512;

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
export function decodeLargeValue(bytes: Buffer, { function: fn }: Digest): Digest | undefined {
  if (bytes.length > MOST_BYTES || !bytes.includes(MARK_BYTES)) return undefined;
  try {
    const { executionMetadata } = fromBinary(ActionResultSchema, bytes);
    return executionMetadata?.worker === MARK ? scanActionResult(bytes, fn).stdout : undefined;
  } catch {
    return undefined;
  }
}
