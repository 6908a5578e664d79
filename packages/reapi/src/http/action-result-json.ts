import { fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import { ActionResultSchema } from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';

/**
 * The binary form of an action result in protobuf's JSON, as moon sends it; undefined when the text is anything else,
 * fields unknown to this server included, since they would be lost.
 */
export function actionResultFromJson(json: Buffer): Buffer | undefined {
  try {
    return Buffer.from(toBinary(ActionResultSchema, fromJsonString(ActionResultSchema, json.toString('utf8'))));
  } catch {
    return undefined;
  }
}

/** Protobuf's JSON of an action result; undefined when the bytes are none. */
export function actionResultToJson(bytes: Buffer): Buffer | undefined {
  try {
    return Buffer.from(toJsonString(ActionResultSchema, fromBinary(ActionResultSchema, bytes)));
  } catch {
    return undefined;
  }
}
