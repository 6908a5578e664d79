import type { ListedVersion } from '../feed/feed-content.js';

/** The versions of a package (package base address resource, 3.0.0). */
export function versionsDocument(versions: readonly ListedVersion[]): object {
  return { versions: versions.map(({ version }) => version.toLowerCase()) };
}
