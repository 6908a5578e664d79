import { isNuGetError, type Provider, type SearchOptions } from '@granary/nuget';
import type { ProviderCall } from './upstream-calls.js';

const DEFAULT_TAKE = 20;
/** Hits that are looked at: sources find words anywhere in an id, and in what is said of it. */
const SEARCHED = 100;

/** Ids that begin with a text. Many sources have no service for that, but nearly all can search. */
export async function completedIds(
  provider: Provider,
  prefix: string,
  options: SearchOptions,
  call: ProviderCall,
): Promise<readonly string[]> {
  try {
    return await provider.autocomplete(prefix, options, call);
  } catch (error) {
    if (!isNuGetError(error) || error.code !== 'UNSUPPORTED') throw error;
  }
  const { skip = 0, take = DEFAULT_TAKE } = options;
  const searched = { ...options, skip: 0, take: Math.max(skip + take, SEARCHED) };
  const { results } = await provider.search(prefix, searched, call);
  const start = prefix.toLowerCase();
  const ids = results.map(({ id }) => id).filter((id) => id.toLowerCase().startsWith(start));
  return ids.slice(skip, skip + take);
}
