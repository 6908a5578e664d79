import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Digest } from '@granary/blobs';
import { NuGetError } from '@granary/nuget';
import type { ReceivedContent } from './receive-package.js';

/** @throws NuGetError `LIMIT` */
export async function hashFile(
  path: string,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<ReceivedContent> {
  const sha256 = createHash('sha256');
  const sha512 = createHash('sha512');
  let size = 0;
  for await (const chunk of createReadStream(path, { signal, highWaterMark: 256 * 1024 })) {
    size += chunk.length;
    if (size > maxBytes) throw new NuGetError('LIMIT', `the package is longer than ${maxBytes} bytes`);
    sha256.update(chunk);
    sha512.update(chunk);
  }
  return { digest: Digest.fromBytes('sha256', sha256.digest(), size), sha512: sha512.digest('base64') };
}
