import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Digest } from '@granary/blobs';
import { NuGetError } from '@granary/nuget';
import type { ReceivedContent } from './arriving/receive-package.js';

const READ_BYTES = 256 * 1024;

/** @throws NuGetError `LIMIT` */
export async function hashFile(
  path: string,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<ReceivedContent> {
  const sha256 = createHash('sha256');
  const sha512 = createHash('sha512');
  let size = 0;
  for await (const chunk of fileChunks(path)) {
    signal?.throwIfAborted();
    size += chunk.length;
    if (size > maxBytes) throw new NuGetError('LIMIT', `the package is longer than ${maxBytes} bytes`);
    sha256.update(chunk);
    sha512.update(chunk);
  }
  return { digest: Digest.fromBytes('sha256', sha256.digest(), size), sha512: sha512.digest('base64') };
}

/** A file's content, all in the same memory. It is opened when the first chunk is asked for, so never for nothing. */
export async function* fileChunks(path: string): AsyncGenerator<Buffer, void> {
  await using file = await open(path);
  const memory = Buffer.allocUnsafeSlow(READ_BYTES);
  for (;;) {
    const { bytesRead } = await file.read(memory, 0, READ_BYTES);
    if (bytesRead === 0) return;
    yield memory.subarray(0, bytesRead);
  }
}
