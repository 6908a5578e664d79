import { describe, expect, it } from 'vitest';
import type { Digest } from '../digest.js';
import { blobOf } from '../testing/content.js';
import { missingBlobs } from './missing-blobs.js';

const digests = Array.from({ length: 20 }, (_, i) => blobOf(10, i).digest);
const at = (digest: Digest) => digests.findIndex((each) => each.equals(digest));
const never = () => new Promise<boolean>(() => {});

describe('questions about blobs, one for each', () => {
  it('are as many at a time as they may be, and their answers are in order', async () => {
    let running = 0;
    let most = 0;
    let asked = 0;
    const twice = [...digests, ...digests];
    const missing = await missingBlobs(twice, 4, undefined, async (digest) => {
      asked++;
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return at(digest) % 3 !== 0;
    });
    expect([most, asked]).toEqual([4, 20]);
    expect(missing).toEqual(twice.filter((digest) => at(digest) % 3 === 0));
  });

  it('end with the first that fails', async () => {
    const failure = new Error('no');
    const signals: AbortSignal[] = [];
    const asking = missingBlobs(digests, 4, undefined, (_, signal) =>
      signals.push(signal) === 3 ? Promise.reject(failure) : never(),
    );
    await expect(asking).rejects.toBe(failure);
    expect(signals.map(({ reason }) => reason)).toEqual([failure, failure, failure, failure]);
  });

  it('end when nobody waits for them any more', async () => {
    const gone = new AbortController();
    const asking = missingBlobs(
      digests,
      2,
      gone.signal,
      (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    );
    const reason = new Error('gone');
    gone.abort(reason);
    await expect(asking).rejects.toBe(reason);
  });
});
