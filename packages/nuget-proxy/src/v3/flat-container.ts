import type { ListedVersion } from '../feed/feed-content.js';

/** The versions of a package (package base address resource, 3.0.0); undefined without one. */
export function versionsDocument(versions: readonly ListedVersion[]): object | undefined {
  if (versions.length === 0) return undefined;
  return { versions: versions.map(({ version }) => version.toLowerCase()) };
}
