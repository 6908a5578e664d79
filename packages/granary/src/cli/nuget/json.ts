import { NuGetFramework, NuGetVersion, VersionRange } from '@granary/nuget';

/** A result as JSON, with versions, ranges and frameworks the way NuGet writes them. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value, (_, inner: unknown) => written(inner), 2)}\n`;
}

function written(value: unknown): unknown {
  if (value instanceof NuGetVersion) return value.toFullString();
  if (value instanceof VersionRange) return value.toNormalizedString();
  return value instanceof NuGetFramework ? value.shortFolderName : value;
}
