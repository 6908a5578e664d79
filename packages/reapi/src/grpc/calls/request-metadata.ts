import { fromBinary } from '@bufbuild/protobuf';
import type { Attributes } from '@granary/telemetry';
import { boundedText } from '@granary/telemetry/server';
import type { Metadata } from '@grpc/grpc-js';
import { RequestMetadataSchema } from '../../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';

const KEY = 'build.bazel.remote.execution.v2.requestmetadata-bin';

/** Bazel's has some 300 bytes; what is much larger is not read. */
const MAX_BYTES = 8 * 1024;

/**
 * The message of a call, in memory of its own, so that whoever keeps it keeps no more; undefined where there is none that
 * is to be read.
 */
export function requestMetadataOf(metadata: Metadata): Uint8Array | undefined {
  const [bytes] = metadata.get(KEY);
  return Buffer.isBuffer(bytes) && bytes.length <= MAX_BYTES ? new Uint8Array(bytes) : undefined;
}

/**
 * What a client says of the build that a call belongs to (REAPI v2, `RequestMetadata`), under the names of its fields.
 * Nothing depends on it, so what is no such message counts as not said.
 */
export function requestMetadataAttributes(message: Uint8Array): Attributes {
  try {
    const said = fromBinary(RequestMetadataSchema, message, { readUnknownFields: false });
    return {
      'request_metadata.tool_details.tool_name': boundedText(said.toolDetails?.toolName),
      'request_metadata.tool_details.tool_version': boundedText(said.toolDetails?.toolVersion),
      'request_metadata.action_id': boundedText(said.actionId),
      'request_metadata.tool_invocation_id': boundedText(said.toolInvocationId),
      'request_metadata.correlated_invocations_id': boundedText(said.correlatedInvocationsId),
      'request_metadata.action_mnemonic': boundedText(said.actionMnemonic),
      'request_metadata.target_id': boundedText(said.targetId),
      'request_metadata.configuration_id': boundedText(said.configurationId),
    };
  } catch {
    return {};
  }
}
