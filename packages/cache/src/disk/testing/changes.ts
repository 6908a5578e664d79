import { createHash } from 'node:crypto';
import type { DiskLayer } from '../disk-layer.js';

export const NAMESPACES = ['nuget', 'npm'] as const;
const KEYS = 400;
const MAX_CONTENT_BYTES = 20_000;

/** What a writer does to one key or to several in a row. */
export interface Change {
  readonly operation: 'set' | 'setMany' | 'delete' | 'clearPrefix';
  readonly keys: readonly string[];
  readonly seed: number;
}

/** The change with this number: mostly a value, now and then a batch, a removal, or all keys that begin alike. */
export function changeOf(seed: number): Change {
  const first = (seed * 7) % KEYS;
  if (seed % 17 === 5) return { operation: 'setMany', keys: keysFrom(first, 20), seed };
  if (seed % 11 === 3) return { operation: 'delete', keys: keysFrom(first, 1), seed };
  if (seed % 29 === 7) return { operation: 'clearPrefix', keys: keysFrom(first - (first % 10), 10), seed };
  return { operation: 'set', keys: keysFrom(first, 1), seed };
}

/** Makes the change, and waits until it is acknowledged. */
export async function applyTo(layer: DiskLayer<Uint8Array>, { operation, keys, seed }: Change): Promise<void> {
  const [first] = keys as [string];
  if (operation === 'clearPrefix') await layer.clearPrefix(first.slice(0, -1));
  else if (operation === 'delete') await layer.delete(first);
  else if (operation === 'set') await layer.set(first, contentOf(first, seed));
  else await layer.setMany(new Map(keys.map((key) => [key, contentOf(key, seed)])));
}

/** Which change a key has its value from; undefined for none. */
export function applyToModel(model: Map<string, number>, { operation, keys, seed }: Change): void {
  for (const key of keys) {
    if (operation === 'set' || operation === 'setMany') model.set(key, seed);
    else model.delete(key);
  }
}

/** Bytes of any length, from none to several pages, that say which key they belong to and who wrote them. */
export function contentOf(key: string, seed: number): Buffer {
  const hash = createHash('sha256').update(`${key} ${seed}`).digest();
  const content = Buffer.alloc(40 + ((hash.readUInt32LE() >>> 8) % MAX_CONTENT_BYTES), hash);
  content.writeDoubleLE(seed, 0);
  return content;
}

export function seedIn(content: Buffer): number {
  return content.readDoubleLE(0);
}

function keysFrom(first: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `key ${String(first + i).padStart(4, '0')}`);
}
