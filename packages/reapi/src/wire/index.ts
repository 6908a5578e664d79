export {
  decodeGetActionResultRequest,
  decodeUpdateActionResultRequest,
  encodeGetActionResultRequest,
  encodeUpdateActionResultRequest,
} from './action-cache.js';
export { type ActionResultContents, mayBeginActionResult, scanActionResult } from './action-result.js';
export * from './batch-read-blobs.js';
export * from './batch-update-blobs.js';
export * from './byte-stream.js';
export { resolveDigestFunction } from './digest-fields.js';
export { digestFunctionNumber, digestFunctionOf } from './digest-functions.js';
export * from './directory.js';
export * from './find-missing-blobs.js';
export * from './messages.js';
export { WireFormatError } from './wire-format-error.js';
