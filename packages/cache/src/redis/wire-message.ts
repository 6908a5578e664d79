import type { InvalidationMessage } from '../invalidation/invalidation-bus.js';

/** What goes over the channel. */
export type WireMessage =
  | { readonly type: 'news'; readonly from: string; readonly number: number; readonly news: InvalidationMessage }
  /** A sign of life: the sender has sent messages up to this number. */
  | { readonly type: 'beat'; readonly from: string; readonly number: number };

const VERSION = 1;

export function encodeWire(message: WireMessage): string {
  const news = message.type === 'beat' ? null : message.news;
  return JSON.stringify([VERSION, message.from, message.number, news]);
}

/** Undefined for what isn't ours, or of a version that we don't know. */
export function decodeWire(text: string): WireMessage | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parsed)) return undefined;
  const [version, from, number, news] = parsed as unknown[];
  if (version !== VERSION || typeof from !== 'string' || !Number.isSafeInteger(number)) return undefined;
  if (news === null) return { type: 'beat', from, number: number as number };
  return isNews(news) ? { type: 'news', from, number: number as number, news } : undefined;
}

function isNews(value: unknown): value is InvalidationMessage {
  if (typeof value !== 'object' || value === null || !('type' in value)) return false;
  if (value.type === 'keys') return 'keys' in value && Array.isArray(value.keys) && value.keys.every(isString);
  if (value.type === 'tag') return 'tag' in value && isString(value.tag);
  return value.type === 'clear' || value.type === 'lost';
}

const isString = (value: unknown): boolean => typeof value === 'string';
