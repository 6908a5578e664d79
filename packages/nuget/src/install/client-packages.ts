import type { NuGetClient } from '../source/nuget-client.js';
import type { SourceCacheContext } from '../source/source-cache-context.js';
import type { PackageOpener } from './package-opener.js';

/** The packages that the sources of a client have, and its caches, for an installer. */
export function clientPackages(
  client: NuGetClient,
  options: { readonly cacheContext?: SourceCacheContext | undefined } = {},
): PackageOpener {
  const { cacheContext } = options;
  return {
    open: async ({ id, version }, { signal }) => {
      const body = await client.downloadPackage(id, version, { signal, cacheContext });
      return { body, length: body.size, source: client.source(body.source).sourceUrl };
    },
  };
}
