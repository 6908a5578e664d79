export { compress, compressStream, zstdSupport } from './compress.js';
export { decompress, decompressStream } from './decompress.js';
export { MAX_WINDOW_BYTES } from './frame-scanner.js';
export { ZstdError, type ZstdErrorCode } from './zstd-error.js';
