import type { Logger } from '@granary/telemetry';
import { knownFramework } from '../../frameworks/known-framework.js';
import { NuGetFramework } from '../../frameworks/nuget-framework.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { VersionRange } from '../../versions/version-range.js';
import { httpUrl } from '../endpoint-url.js';
import { asArray, asBoolean, asCount, asDate, asList, asObject, asText, asTexts, type JsonObject } from '../json.js';
import type {
  DependencyGroup,
  PackageDependency,
  PackageDeprecation,
  PackageMetadata,
  PackageVulnerability,
  RegistrationPagePlace,
  VulnerabilitySeverity,
} from '../model.js';
import { toldHash } from '../told-hash.js';
import type { PackagePages } from './templates.js';

const NAMES = /,/;
const WORDS = /[\s,;]+/;
/** Feeds date what they don't list to this year. */
const UNLISTED_YEAR = 1900;
const SEVERITIES = ['low', 'moderate', 'high', 'critical'] as const;

/** What a feed says of one version of a package, as it says it. */
export interface RegistrationEntry {
  /** The catalog entry: what the package says of itself. */
  readonly entry: JsonObject;
  /** What the feed says beside it. */
  readonly leaf: JsonObject;
  /** URL of the document that it stands in. */
  readonly url: string;
}

/** The version that an entry is about; undefined when it doesn't say. */
export function entryVersion({ entry }: RegistrationEntry): NuGetVersion | undefined {
  return typeof entry['version'] === 'string' ? NuGetVersion.tryParse(entry['version']) : undefined;
}

/** Whether an entry is about a package: it is when it says nothing else. Ids have no case. */
export function isEntryOf({ entry }: RegistrationEntry, lowerId: string): boolean {
  return typeof entry['id'] !== 'string' || entry['id'].toLowerCase() === lowerId;
}

/**
 * Makes metadata of the entries of one package. Most of them need the same ranges and frameworks, so those are parsed
 * once (bench/nuget-registration.mjs).
 */
export class MetadataReader {
  readonly #pages: PackagePages;
  readonly #logger: Logger;
  readonly #ranges = new Map<string, VersionRange>();
  readonly #frameworks = new Map<string, NuGetFramework>();
  /** What the version before needs: that of the next one is mostly the same, and then shared. */
  #before: readonly DependencyGroup[] = [];

  constructor(pages: PackagePages, logger: Logger) {
    this.#pages = pages;
    this.#logger = logger;
  }

  /** @param id what the package is called when the entry doesn't say it. */
  read(
    source: RegistrationEntry,
    version: NuGetVersion,
    id: string,
    page: RegistrationPagePlace | undefined,
  ): PackageMetadata {
    const { entry, leaf, url } = source;
    const identity = { id: asText(entry['id']) ?? id, version };
    const published = asDate(entry['published'] ?? leaf['published']);
    const listed = asBoolean(entry['listed'] ?? leaf['listed']);
    return {
      id: identity.id,
      version,
      title: asText(entry['title']),
      description: asText(entry['description']),
      summary: asText(entry['summary']),
      releaseNotes: asText(entry['releaseNotes']),
      copyright: asText(entry['copyright']),
      language: asText(entry['language']),
      authors: asList(entry['authors'], NAMES),
      owners: asList(entry['owners'], NAMES),
      tags: asList(entry['tags'], WORDS),
      iconUrl: asText(entry['iconUrl']),
      projectUrl: asText(entry['projectUrl']),
      licenseUrl: asText(entry['licenseUrl']),
      licenseExpression: asText(entry['licenseExpression']),
      requireLicenseAcceptance: asBoolean(entry['requireLicenseAcceptance']) ?? false,
      minClientVersion: asText(entry['minClientVersion']),
      dependencyGroups: this.#groups(entry, identity.id),
      published,
      listed: listed ?? published?.getUTCFullYear() !== UNLISTED_YEAR,
      downloads: asCount(entry['downloads']),
      deprecation: readDeprecation(entry['deprecation']),
      vulnerabilities: readVulnerabilities(entry['vulnerabilities']),
      packageUrl: httpUrl(leaf['packageContent'] ?? entry['packageContent'], url),
      packageSize: asCount(entry['packageSize']),
      packageHash: toldHash(asText(entry['packageHash']), asText(entry['packageHashAlgorithm'])),
      detailsUrl: this.#pages.details(identity),
      reportAbuseUrl: this.#pages.reportAbuse(identity),
      page,
    };
  }

  #groups(entry: JsonObject, id: string): readonly DependencyGroup[] {
    const groups: DependencyGroup[] = [];
    for (const value of asArray(entry['dependencyGroups'])) {
      const group = asObject(value);
      if (group !== undefined) groups.push(this.#group(group, this.#before[groups.length], id));
    }
    this.#before = groups;
    return groups;
  }

  #group(group: JsonObject, before: DependencyGroup | undefined, id: string): DependencyGroup {
    const targetFramework = this.#framework(asText(group['targetFramework']));
    const needed = asArray(group['dependencies']);
    if (before?.targetFramework === targetFramework && this.#areSame(needed, before.dependencies)) return before;
    const dependencies: PackageDependency[] = [];
    for (const each of needed) {
      const dependency = this.#dependency(asObject(each));
      if (dependency !== undefined) dependencies.push(dependency);
      else this.#logger.debug('A dependency of {PackageId} is left out: it makes no sense', id);
    }
    return { targetFramework, dependencies };
  }

  #areSame(needed: readonly unknown[], before: readonly PackageDependency[]): boolean {
    if (needed.length !== before.length) return false;
    for (let i = 0; i < needed.length; i++) {
      const dependency = asObject(needed[i]);
      if (dependency?.['id'] !== before[i]?.id || this.#range(dependency?.['range']) !== before[i]?.range) return false;
    }
    return true;
  }

  #dependency(dependency: JsonObject | undefined): PackageDependency | undefined {
    const id = asText(dependency?.['id']);
    return id === undefined ? undefined : { id, range: this.#range(dependency?.['range']) };
  }

  /** One that is none takes all versions, as it does in a nuspec. */
  #range(value: unknown): VersionRange {
    if (typeof value !== 'string' || value === '') return VersionRange.all;
    let range = this.#ranges.get(value);
    if (range === undefined) {
      range = VersionRange.tryParse(value) ?? VersionRange.all;
      this.#ranges.set(value, range);
    }
    return range;
  }

  #framework(text: string | undefined): NuGetFramework {
    if (text === undefined) return NuGetFramework.any;
    let framework = this.#frameworks.get(text);
    if (framework === undefined) {
      framework = knownFramework(text);
      this.#frameworks.set(text, framework);
    }
    return framework;
  }
}

/** What a feed says of a version that isn't to be used any more; undefined when it says nothing. */
export function readDeprecation(value: unknown): PackageDeprecation | undefined {
  const deprecation = asObject(value);
  if (deprecation === undefined) return undefined;
  const alternate = asObject(deprecation['alternatePackage']);
  const id = asText(alternate?.['id']);
  const range = asText(alternate?.['range']);
  return {
    reasons: asTexts(deprecation['reasons']),
    message: asText(deprecation['message']),
    alternate:
      id === undefined
        ? undefined
        : { id, range: (range === undefined ? undefined : VersionRange.tryParse(range)) ?? VersionRange.all },
  };
}

export function readVulnerabilities(value: unknown): readonly PackageVulnerability[] {
  const vulnerabilities: PackageVulnerability[] = [];
  for (const each of asArray(value)) {
    const vulnerability = asObject(each);
    const advisoryUrl = asText(vulnerability?.['advisoryUrl']);
    if (advisoryUrl === undefined) continue;
    vulnerabilities.push({ advisoryUrl, severity: readSeverity(vulnerability?.['severity']) });
  }
  return vulnerabilities;
}

/** From 0 to 3 as a number or a text. One that nobody knows hides no vulnerability: it counts as the nearest one. */
export function readSeverity(value: unknown): VulnerabilitySeverity {
  const number = Math.min(asCount(value) ?? 0, SEVERITIES.length - 1);
  return SEVERITIES[number] ?? 'low';
}
