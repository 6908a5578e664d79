import type { Config } from '../config/schema.js';

/** What whoever starts the server should know about packages that exist here and nowhere else. */
export function hostingWarnings({ nuget, storage }: Config): string[] {
  if (!nuget.enabled || !nuget.hosted || storage.durability !== 'none') return [];
  return [
    'Packages that are pushed here are lost in a power cut, because storage.durability is none. Set it to data or full.',
  ];
}
