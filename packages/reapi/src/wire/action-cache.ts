import {
  DigestArena,
  DigestSpan,
  requestedDigestSize,
  resolveDigestFunction,
  writeRequestedDigest,
} from './digest-fields.js';
import { digestFunctionNumber } from './digest-functions.js';
import type { GetActionResultRequest, RequestedDigest, UpdateActionResultRequest } from './messages.js';
import { WireReader } from './wire-reader.js';
import { delimitedSize, numberSize, optionalSize, WireWriter } from './wire-writer.js';

const INSTANCE_NAME = 0x0a;
const ACTION_DIGEST = 0x12;

const INLINE_STDOUT = 0x18;
const INLINE_STDERR = 0x20;
const INLINE_OUTPUT_FILES = 0x2a;
const GET_DIGEST_FUNCTION = 0x30;

const ACTION_RESULT = 0x1a;
const UPDATE_DIGEST_FUNCTION = 0x28;

/** @throws WireFormatError */
export function decodeGetActionResultRequest(bytes: Buffer): GetActionResultRequest {
  const reader = new WireReader(bytes);
  const span = new DigestSpan();
  const inlineOutputFiles: string[] = [];
  let instanceName = '';
  let hasDigest = false;
  let inlineStdout = false;
  let inlineStderr = false;
  let functionNumber = 0;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === ACTION_DIGEST) {
      span.read(reader);
      hasDigest = true;
    } else if (tag === INSTANCE_NAME) instanceName = reader.string();
    else if (tag === INLINE_STDOUT) inlineStdout = reader.bool();
    else if (tag === INLINE_STDERR) inlineStderr = reader.bool();
    else if (tag === INLINE_OUTPUT_FILES) inlineOutputFiles.push(reader.string());
    else if (tag === GET_DIGEST_FUNCTION) functionNumber = reader.int32();
    else reader.skip(tag);
  }
  const { digestFunction, actionDigest } = resolveAction(reader, span, hasDigest, functionNumber);
  return { instanceName, digestFunction, actionDigest, inlineStdout, inlineStderr, inlineOutputFiles };
}

/**
 * The action's result is a view of `bytes`.
 *
 * @throws WireFormatError
 */
export function decodeUpdateActionResultRequest(bytes: Buffer): UpdateActionResultRequest {
  const reader = new WireReader(bytes);
  const span = new DigestSpan();
  let instanceName = '';
  let hasDigest = false;
  let actionResult: Buffer | undefined;
  let functionNumber = 0;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === ACTION_DIGEST) {
      span.read(reader);
      hasDigest = true;
    } else if (tag === INSTANCE_NAME) instanceName = reader.string();
    else if (tag === ACTION_RESULT) {
      // Two messages one behind the other are the encoding of the two merged.
      const part = reader.view();
      actionResult = actionResult ? Buffer.concat([actionResult, part]) : part;
    } else if (tag === UPDATE_DIGEST_FUNCTION) functionNumber = reader.int32();
    else reader.skip(tag);
  }
  const { digestFunction, actionDigest } = resolveAction(reader, span, hasDigest, functionNumber);
  return { instanceName, digestFunction, actionDigest, actionResult };
}

/** Without a digest function that Granary knows there is no telling what the digest names. */
function resolveAction(
  reader: WireReader,
  span: DigestSpan,
  hasDigest: boolean,
  functionNumber: number,
): Pick<GetActionResultRequest, 'digestFunction' | 'actionDigest'> {
  const digestFunction = resolveDigestFunction(functionNumber, span.hashLength);
  const actionDigest =
    hasDigest && digestFunction ? new DigestArena(digestFunction, reader.bytes, 1).requested(reader, span) : undefined;
  return { digestFunction, actionDigest };
}

export function encodeGetActionResultRequest(request: GetActionResultRequest): Buffer {
  const { instanceName, digestFunction, actionDigest, inlineOutputFiles } = request;
  const instanceLength = Buffer.byteLength(instanceName);
  const functionNumber = digestFunction ? digestFunctionNumber(digestFunction) : 0;
  const inlineStdout = request.inlineStdout ? 1 : 0;
  const inlineStderr = request.inlineStderr ? 1 : 0;
  let size = optionalSize(instanceLength) + actionDigestSize(actionDigest);
  size += numberSize(inlineStdout) + numberSize(inlineStderr) + numberSize(functionNumber);
  for (const path of inlineOutputFiles) size += delimitedSize(Buffer.byteLength(path));

  const writer = new WireWriter(size);
  writer.text(INSTANCE_NAME, instanceName, instanceLength);
  writeActionDigest(writer, actionDigest);
  writer.number(INLINE_STDOUT, inlineStdout);
  writer.number(INLINE_STDERR, inlineStderr);
  for (const path of inlineOutputFiles) writer.element(INLINE_OUTPUT_FILES, path, Buffer.byteLength(path));
  writer.number(GET_DIGEST_FUNCTION, functionNumber);
  return writer.finish();
}

export function encodeUpdateActionResultRequest(request: UpdateActionResultRequest): Buffer {
  const { instanceName, digestFunction, actionDigest, actionResult } = request;
  const instanceLength = Buffer.byteLength(instanceName);
  const functionNumber = digestFunction ? digestFunctionNumber(digestFunction) : 0;
  const writer = new WireWriter(
    optionalSize(instanceLength) +
      actionDigestSize(actionDigest) +
      (actionResult ? delimitedSize(actionResult.length) : 0) +
      numberSize(functionNumber),
  );
  writer.text(INSTANCE_NAME, instanceName, instanceLength);
  writeActionDigest(writer, actionDigest);
  if (actionResult) writer.message(ACTION_RESULT, actionResult);
  writer.number(UPDATE_DIGEST_FUNCTION, functionNumber);
  return writer.finish();
}

function actionDigestSize(digest: RequestedDigest | undefined): number {
  return digest ? delimitedSize(requestedDigestSize(digest)) : 0;
}

function writeActionDigest(writer: WireWriter, digest: RequestedDigest | undefined): void {
  if (!digest) return;
  writer.header(ACTION_DIGEST, requestedDigestSize(digest));
  writeRequestedDigest(writer, digest);
}
