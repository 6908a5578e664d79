import { HttpTier } from '../http-tier.js';
import type { HttpTierOptions } from '../options.js';

/** A tier named `web` in front of any server. */
export function testTier(url: string, options: Partial<HttpTierOptions> = {}): HttpTier {
  return new HttpTier({ name: 'web', mode: 'write-through', url, proxy: false, ...options });
}
