import { open } from 'node:fs/promises';
import { NuGetError } from '../errors.js';

/** The largest `project.assets.json` of thousands of packages has a tenth of this. */
const MAX_BYTES = 64 * 1024 * 1024;

/** @throws NuGetError `INVALID_PROJECT` for a file that isn't there or can't be read, `LIMIT` for one of more than 64 MiB */
export async function readBounded(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    if (size > MAX_BYTES) throw new NuGetError('LIMIT', `${path} has more than ${MAX_BYTES} bytes`);
    return await file.readFile();
  } catch (error) {
    if (error instanceof NuGetError) throw error;
    throw new NuGetError('INVALID_PROJECT', `${path} can't be read: ${(error as Error).message}`, { cause: error });
  }
}
