import { NuGetFramework } from './nuget-framework.js';

/**
 * The framework that a feed names. Nothing can be in one that nobody knows, and the other groups of a package are as
 * good as ever, so that a broken name is `NuGetFramework.unsupported`.
 */
export function knownFramework(text: string): NuGetFramework {
  try {
    return NuGetFramework.parse(text);
  } catch {
    return NuGetFramework.unsupported;
  }
}
