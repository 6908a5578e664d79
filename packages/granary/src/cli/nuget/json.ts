import { NuGetFramework, NuGetVersion, VersionRange } from '@granary/nuget';

/** A result as JSON, with versions, ranges and frameworks the way NuGet writes them. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value, written, 2)}\n`;
}

/** What it is given has become a text already, so it looks itself at what that was. */
function written(this: Readonly<Record<string, unknown>>, key: string, text: unknown): unknown {
  const value = this[key];
  if (value instanceof NuGetVersion) return value.toFullString();
  if (value instanceof VersionRange) return value.toNormalizedString();
  return value instanceof NuGetFramework ? value.shortName : text;
}
