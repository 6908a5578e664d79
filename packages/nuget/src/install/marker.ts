import { open, writeFile } from 'node:fs/promises';

/** What `.nupkg.metadata` says of an installed package. */
export interface PackageMarker {
  /** SHA-512 in base64 of the package without its signature. */
  readonly contentHash: string;
  /** URL or path of the source that it came from; lock files and later restores look at it. */
  readonly source: string | undefined;
}

const VERSION = 2;
const MAX_BYTES = 64 * 1024;

export async function writeMarker(path: string, { contentHash, source }: PackageMarker): Promise<void> {
  await writeFile(path, JSON.stringify({ version: VERSION, contentHash, source: source ?? null }, null, 2));
}

/** Undefined when there is none, or one that says nothing. */
export async function readMarker(path: string): Promise<PackageMarker | undefined> {
  const text = await readShort(path);
  if (text === undefined) return undefined;
  try {
    const { contentHash, source } = JSON.parse(text) as { contentHash?: unknown; source?: unknown };
    if (typeof contentHash !== 'string' || contentHash === '') return undefined;
    return { contentHash, source: typeof source === 'string' ? source : undefined };
  } catch {
    return undefined;
  }
}

async function readShort(path: string): Promise<string | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_BYTES));
    // Written with a byte order mark by some.
    return buffer.toString('utf8', 0, bytesRead).replace(/^\uFEFF/, '');
  } finally {
    await file.close();
  }
}
