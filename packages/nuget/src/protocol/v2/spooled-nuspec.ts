import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { NuGetError } from '../../errors.js';
import { NupkgReader } from '../../packages/nupkg-reader.js';
import type { PackageStream } from '../feed.js';

/**
 * The nuspec of a package that is only to be had as a whole: it is written to a temporary file, which is gone when this
 * settles.
 *
 * @throws {@link NuGetError} `LIMIT` when the package is longer than it may be, `INVALID_PACKAGE` when it is none
 */
export async function nuspecOf(pkg: PackageStream, maxBytes: number, signal: AbortSignal | undefined): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'granary-nupkg-'));
  try {
    const path = join(folder, 'package.nupkg');
    await pipeline(pkg.body, (chunks) => limited(chunks, maxBytes), createWriteStream(path), signal ? { signal } : {});
    const reader = await NupkgReader.open(path);
    try {
      return await reader.nuspecBytes();
    } finally {
      await reader.close();
    }
  } finally {
    pkg.body.destroy();
    await rm(folder, { recursive: true, force: true });
  }
}

async function* limited(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > maxBytes) throw new NuGetError('LIMIT', `the package is longer than ${maxBytes} bytes`);
    yield chunk;
  }
}
