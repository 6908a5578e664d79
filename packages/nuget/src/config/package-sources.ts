import { attribute, type ConfigFile, configError } from './config-file.js';
import { type Environment, expandEnvironment } from './expand-environment.js';
import { mergedSection, type Setting, settingKey, settingPath } from './settings.js';

/** A source as it is configured. */
export interface PackageSource {
  readonly name: string;
  /** URL, or the folder of a local feed. */
  readonly url: string;
  readonly isEnabled: boolean;
  /** As `protocolVersion` says; undefined where it says nothing. */
  readonly protocolVersion: number | undefined;
  /** Whether somebody said that plain http is fine for it. */
  readonly allowInsecureConnections: boolean;
  readonly disableTlsCertificateValidation: boolean;
  /** The file that it comes from. */
  readonly file: string;
  /** Whether it comes from a file that applies to everybody on the machine. */
  readonly isMachineWide: boolean;
}

const HIGHEST_PROTOCOL_VERSION = 3;
/** What NuGet takes a source for that says nothing. */
const DEFAULT_PROTOCOL_VERSION = 2;

/**
 * The sources of all files, those of the nearest file first. Names are the same whatever their case; of a source that is
 * there for several protocol versions, the highest one counts.
 */
export function readPackageSources(
  files: readonly ConfigFile[],
  environment: Environment,
  platform: NodeJS.Platform,
): readonly PackageSource[] {
  const disabled = new Set(mergedSection(files, 'disabledPackageSources').map(settingKey));
  const settings = mergedSection(files, 'packageSources').toSorted(
    (a, b) => files.indexOf(a.file) - files.indexOf(b.file),
  );
  const sources = new Map<string, PackageSource>();
  for (const setting of settings) {
    const source = readSource(setting, disabled, environment, platform);
    const key = source.name.toLowerCase();
    const before = sources.get(key);
    if (before === undefined || isBetter(source, before)) sources.set(key, source);
  }
  return [...sources.values()];
}

function isBetter(source: PackageSource, before: PackageSource): boolean {
  const version = source.protocolVersion ?? DEFAULT_PROTOCOL_VERSION;
  return version > (before.protocolVersion ?? DEFAULT_PROTOCOL_VERSION) && version <= HIGHEST_PROTOCOL_VERSION;
}

function readSource(
  setting: Setting,
  disabled: ReadonlySet<string>,
  environment: Environment,
  platform: NodeJS.Platform,
): PackageSource {
  const { element, file } = setting;
  const name = settingKey(setting);
  const read = (key: string) => expandEnvironment(attribute(element, key) ?? '', environment).trim();
  const url = settingPath(setting, environment, platform);
  if (url.trim() === '') throw configError(file.path, element.line, `the source ${name} has no URL`);
  const protocolVersion = /^[+-]?\d{1,9}$/.test(read('protocolVersion')) ? Number(read('protocolVersion')) : undefined;
  return {
    name,
    url,
    isEnabled: !disabled.has(name),
    protocolVersion,
    allowInsecureConnections: read('allowInsecureConnections').toLowerCase() === 'true',
    disableTlsCertificateValidation: read('disableTLSCertificateValidation').toLowerCase() === 'true',
    file: file.path,
    isMachineWide: file.kind === 'machine',
  };
}
