export { compress, compressStream, zstdSupport } from './compress.js';
export { decompress, decompressStream } from './decompress.js';
export { ZstdError } from './zstd-error.js';
