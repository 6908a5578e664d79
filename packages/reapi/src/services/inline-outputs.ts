import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type BlobStore, Digest, type DigestFunction, type OperationOptions } from '@granary/blobs';
import {
  type ActionResult,
  ActionResultSchema,
  type Digest as DigestMessage,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';

/** What a client wants to have in the result itself. */
export interface WantedInline {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Paths of output files. */
  readonly files: readonly string[];
}

/** Bytes that a field needs besides its content: tags and lengths, the enclosing message's longer length included. */
const FIELD_OVERHEAD_BYTES = 16;

/**
 * Puts the content of outputs into an encoded `ActionResult`, in the order stdout, stderr, files, as long as the whole
 * stays within a number of bytes. What doesn't fit or is not here stays a digest, which the protocol allows.
 */
export async function inlineOutputs(
  blobs: BlobStore,
  encoded: Buffer,
  fn: DigestFunction,
  wanted: WantedInline,
  maxBytes: number,
  options?: OperationOptions,
): Promise<Buffer> {
  const result = decoded(encoded);
  if (!result) return encoded;
  let left = maxBytes - encoded.length;
  const content = async (named: DigestMessage | undefined, present: Uint8Array): Promise<Uint8Array | undefined> => {
    if (!named || present.length > 0 || named.hash === '') return undefined;
    const size = Number(named.sizeBytes);
    if (size + FIELD_OVERHEAD_BYTES > left) return undefined;
    const bytes = await blobs.get(Digest.parse(fn, named.hash, size), options);
    if (bytes) left -= size + FIELD_OVERHEAD_BYTES;
    return bytes;
  };
  if (wanted.stdout) result.stdoutRaw = (await content(result.stdoutDigest, result.stdoutRaw)) ?? result.stdoutRaw;
  if (wanted.stderr) result.stderrRaw = (await content(result.stderrDigest, result.stderrRaw)) ?? result.stderrRaw;
  if (wanted.files.length > 0) {
    const paths = new Set(wanted.files);
    for (const file of result.outputFiles)
      if (paths.has(file.path)) file.contents = (await content(file.digest, file.contents)) ?? file.contents;
  }
  const bytes = toBinary(ActionResultSchema, result);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Undefined for one that only the lenient reading of the completeness check takes: its digests count, no other field. */
function decoded(encoded: Buffer): ActionResult | undefined {
  try {
    return fromBinary(ActionResultSchema, encoded);
  } catch {
    return undefined;
  }
}
