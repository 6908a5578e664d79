import { closeSync, openSync, readSync } from 'node:fs';
import { NuGetError } from '../errors.js';

const CHUNK_BYTES = 64 * 1024;

/**
 * A file of a project, whole. Its size is what is read: devices and pipes tell none.
 *
 * @throws NuGetError `INVALID_PROJECT` for a file that isn't there or can't be read, `LIMIT` for one of more than `maxBytes`
 */
export function readBounded(path: string, maxBytes: number): Buffer {
  try {
    const fd = openSync(path, 'r');
    try {
      const chunks: Buffer[] = [];
      for (let size = 0; ; ) {
        const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
        const bytesRead = readSync(fd, chunk);
        if (bytesRead === 0) return Buffer.concat(chunks);
        size += bytesRead;
        if (size > maxBytes) throw new NuGetError('LIMIT', `${path} has more than ${maxBytes} bytes`);
        chunks.push(chunk.subarray(0, bytesRead));
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof NuGetError) throw error;
    throw new NuGetError('INVALID_PROJECT', `${path} can't be read: ${(error as Error).message}`, { cause: error });
  }
}
