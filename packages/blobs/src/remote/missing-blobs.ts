import { setMaxListeners } from 'node:events';
import { blobKeyOf } from '../blob-key.js';
import type { Digest } from '../digest.js';

/** Questions that a tier is asked in one call, for each that it asks at the same time: so few that they take a second or two. */
export const QUESTIONS_IN_TURN = 4;

/**
 * Those of the digests that are missing, in their order, for protocols that are asked about one blob at a time.
 *
 * @param parallel most questions at a time
 * @param has whether a blob is there; its signal aborts as soon as another question has failed or the caller has gone
 */
export async function missingBlobs(
  digests: readonly Digest[],
  parallel: number,
  signal: AbortSignal | undefined,
  has: (digest: Digest, signal: AbortSignal) => Promise<boolean>,
): Promise<Digest[]> {
  const unique = new Map<string, Digest>();
  for (const digest of digests) unique.set(blobKeyOf(digest), digest);
  const missing = new Set<string>();
  const rest = unique.entries();
  const stop = new AbortController();
  // As many listen as there are questions under way: that is no leak.
  setMaxListeners(0, stop.signal);
  const abort = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const ask = async () => {
    for (const [key, digest] of rest) {
      if (!(await has(digest, stop.signal))) missing.add(key);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(parallel, unique.size) }, ask));
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  return digests.filter((digest) => missing.has(blobKeyOf(digest)));
}
