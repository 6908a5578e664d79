import { isNuGetError } from '../../errors.js';
import type { Endpoints } from './v3-source.js';

/**
 * Maps each item, `limit` of them at a time; the results are in the items' order. After a failure nothing more is
 * begun, what runs is waited for, and the first failure is thrown.
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = new Array(items.length);
  const failures: unknown[] = [];
  const pending = items.entries();
  const work = async () => {
    for (const [index, item] of pending) {
      if (failures.length > 0) return;
      try {
        results[index] = await map(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work));
  if (failures.length > 0) throw failures[0];
  return results;
}

/** More endpoints of one resource than this are not tried. */
const MAX_ENDPOINTS = 3;

/**
 * What the first endpoint answers that doesn't fail: a source may list several of a kind, in the order of its choice.
 * When all fail, the last one's failure is thrown.
 */
export async function firstToAnswer<T>(
  endpoints: Endpoints,
  signal: AbortSignal | undefined,
  ask: (endpoint: string) => Promise<T>,
): Promise<T> {
  const last = Math.min(endpoints.length, MAX_ENDPOINTS) - 1;
  for (let i = 0; i < last; i++) {
    try {
      return await ask(endpoints[i] as string);
    } catch (error) {
      if (signal?.aborted === true || !isNuGetError(error) || error.code === 'CLOSED') throw error;
    }
  }
  return await ask(endpoints[last] as string);
}
