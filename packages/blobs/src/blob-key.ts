import type { Digest } from './digest.js';

/** What tells a blob from all others, those of other digest functions among them. */
export function blobKeyOf(digest: Digest): string {
  return `${digest.function}/${digest}`;
}
