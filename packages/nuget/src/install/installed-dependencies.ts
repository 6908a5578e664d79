import { readFile } from 'node:fs/promises';
import { isNuGetError } from '../errors.js';
import type { PackageIdentity } from '../package-identity.js';
import { parseNuspec } from '../packages/nuspec.js';
import type { DependencyProvider } from '../resolver/dependency-provider.js';
import { selectDependencies } from '../resolver/select-dependencies.js';
import { assetFit } from './asset-fit.js';
import { inspect } from './inspect.js';
import { readMarker } from './marker.js';
import { PackagesFolder } from './packages-folder.js';

/**
 * Reads what installed packages need in their nuspecs, and asks a provider about all others, and for versions where the
 * lowest one isn't installed: as for restores, what is there needs no source.
 */
export function installedDependencies(folder: string, provider: DependencyProvider): DependencyProvider {
  const packages = new PackagesFolder(folder);
  const sources = provider.sources?.bind(provider);
  const listVersionsAnew = provider.listVersionsAnew?.bind(provider);
  const isInstalled = async (identity: PackageIdentity) =>
    (await readMarker(packages.locate(identity).marker)) !== undefined;
  return {
    listVersions: (id, options) => provider.listVersions(id, options),
    ...(listVersionsAnew && { listVersionsAnew }),
    ...(sources === undefined ? {} : { sources }),
    triesLowest: async (id, version) =>
      (await isInstalled({ id, version })) || ((await provider.triesLowest?.(id, version)) ?? false),
    dependencies: async (identity, framework, options) => {
      const paths = packages.locate(identity);
      try {
        if (await isInstalled(identity)) {
          const nuspec = parseNuspec(await readFile(paths.nuspec));
          if (nuspec.version.equals(identity.version)) {
            const selected = selectDependencies(nuspec.id, nuspec.dependencyGroups, framework, options.fallbacks);
            if (selected.fit === 'compatible') return selected;
            const state = await inspect(paths);
            if (state.kind === 'whole') {
              const { id, frameworkAssemblies, frameworkReferences } = nuspec;
              const assets = { id, frameworkAssemblies, frameworkReferences, files: state.files };
              const fit = assetFit(assets, framework, options.fallbacks);
              return { ...selected, fit };
            }
          }
        }
      } catch (error) {
        // What is damaged is installed anew.
        if (!isNuGetError(error) && (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      return provider.dependencies(identity, framework, options);
    },
  };
}
