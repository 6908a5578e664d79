import { posix, win32 } from 'node:path';
import type { ProxyOptions } from '@granary/http';
import { NuGetError } from '../errors.js';
import { PackageSourceMapping } from '../source/package-source-mapping.js';
import { attribute, type ConfigFile, configError } from './config-file.js';
import { type ConfigFilesOptions, readConfigFiles } from './config-files.js';
import type { Environment } from './expand-environment.js';
import { nugetLocations } from './locations.js';
import { type PackageSource, readPackageSources } from './package-sources.js';
import { mergedSection, resolvePath, type Setting, settingKey, settingPath, settingValue } from './settings.js';
import { type ConfiguredCredentials, readSourceCredentials } from './source-credentials.js';

/**
 * Reads the `nuget.config` files that count for a folder, as NuGet finds and merges them.
 *
 * @throws {@link NuGetError} `INVALID_CONFIG` with file and line of what is wrong
 */
export async function loadNuGetConfig(options: ConfigFilesOptions = {}): Promise<NuGetConfig> {
  return new NuGetConfig(await readConfigFiles(options), options);
}

/** How Windows writes secrets that it has encrypted for a user, in base64. */
const ENCRYPTED = /^AQAAANCMnd8BFdERjHoAwE/;
const GALLERY = 'https://www.nuget.org';

/** What all `nuget.config` files together say. */
export class NuGetConfig {
  /** The files that were read, nearest first. The last but those of the machine may be one that isn't there yet. */
  readonly files: readonly ConfigFile[];
  /** All sources, disabled ones included, those of the nearest file first. */
  readonly sources: readonly PackageSource[];
  readonly mapping: PackageSourceMapping;
  readonly #environment: Environment;
  readonly #platform: NodeJS.Platform;
  readonly #config: readonly Setting[];

  constructor(files: readonly ConfigFile[], options: ConfigFilesOptions = {}) {
    this.files = files;
    this.#environment = options.environment ?? process.env;
    this.#platform = options.platform ?? process.platform;
    this.sources = readPackageSources(files, this.#environment, this.#platform);
    this.mapping = readMapping(files);
    this.#config = mergedSection(files, 'config');
  }

  get enabledSources(): readonly PackageSource[] {
    return this.sources.filter(({ isEnabled }) => isEnabled);
  }

  /** The source with a name or URL, disabled ones included; the case of neither matters. */
  source(nameOrUrl: string): PackageSource | undefined {
    const text = nameOrUrl.toLowerCase();
    return (
      this.sources.find(({ name }) => name.toLowerCase() === text) ??
      this.sources.find(({ url }) => sameUrl(url, nameOrUrl))
    );
  }

  /** Credentials of a source by its name; the environment's win. */
  credentials(source: string): ConfiguredCredentials | undefined {
    return readSourceCredentials(this.files, source, this.#environment);
  }

  /**
   * Key for pushing to a source: that of the first of the URLs that has one.
   *
   * @throws {@link NuGetError} `INVALID_CONFIG` for a key that is encrypted
   */
  apiKey(...urls: readonly string[]): string | undefined {
    const keys = mergedSection(this.files, 'apikeys');
    const wanted = urls.some(isGallery) ? [...urls, GALLERY, `${GALLERY}/api/v2/package`] : urls;
    const setting = wanted.flatMap((url) => keys.find((key) => sameUrl(settingKey(key), url)) ?? [])[0];
    if (setting === undefined) return undefined;
    const value = settingValue(setting, this.#environment);
    if (!ENCRYPTED.test(value)) return value || undefined;
    throw configError(
      setting.file.path,
      setting.element.line,
      `the API key of ${settingKey(setting)} is encrypted for a user of Windows, and nobody else can read it`,
    );
  }

  /** Value of a key of the section `config`, whose case doesn't matter. */
  value(key: string): string | undefined {
    const setting = this.#setting(key);
    return setting && (settingValue(setting, this.#environment) || undefined);
  }

  /** A {@link value} that is a path or a URL: relative ones count from the folder of their file. */
  path(key: string): string | undefined {
    const setting = this.#setting(key);
    return setting && (settingPath(setting, this.#environment, this.#platform) || undefined);
  }

  /**
   * Where packages are installed: `NUGET_PACKAGES`, `globalPackagesFolder`, or the user's `.nuget/packages`.
   *
   * @throws {@link NuGetError} `INVALID_CONFIG` when `NUGET_PACKAGES` isn't absolute
   */
  get globalPackagesFolder(): string {
    return (
      this.#absolute('NUGET_PACKAGES') ??
      this.path('globalPackagesFolder') ??
      nugetLocations({ environment: this.#environment, platform: this.#platform }).globalPackages
    );
  }

  /**
   * Where answers of sources are kept: `NUGET_HTTP_CACHE_PATH`, or the platform's place.
   *
   * @throws {@link NuGetError} `INVALID_CONFIG` when `NUGET_HTTP_CACHE_PATH` isn't absolute
   */
  get httpCacheFolder(): string {
    return (
      this.#absolute('NUGET_HTTP_CACHE_PATH') ??
      nugetLocations({ environment: this.#environment, platform: this.#platform }).httpCache
    );
  }

  /** Folders with installed packages that are only read: `NUGET_FALLBACK_PACKAGES`, or the nearest file's first. */
  get fallbackFolders(): readonly string[] {
    const folders = this.#environment['NUGET_FALLBACK_PACKAGES'];
    if (folders) {
      return folders
        .split(';')
        .filter((folder) => folder !== '')
        .map((folder) => this.#checkAbsolute('NUGET_FALLBACK_PACKAGES', folder));
    }
    return mergedSection(this.files, 'fallbackPackageFolders')
      .toSorted((a, b) => this.files.indexOf(a.file) - this.files.indexOf(b.file))
      .map((setting) => settingPath(setting, this.#environment, this.#platform));
  }

  /** Name or URL of the source that packages are pushed to when nobody says where. */
  get defaultPushSource(): string | undefined {
    const setting = this.#setting('defaultPushSource');
    if (setting === undefined) return undefined;
    const value = settingValue(setting, this.#environment);
    if (value === '') return undefined;
    return this.source(value)?.isEnabled ? value : resolvePath(setting.file, value, this.#platform);
  }

  /** Requests to a source at the same time. */
  get maxHttpRequestsPerSource(): number | undefined {
    const value = Number(this.value('maxHttpRequestsPerSource'));
    return Number.isSafeInteger(value) && value > 0 ? value : undefined;
  }

  /**
   * The proxy of the section `config`; undefined leaves it to the environment.
   *
   * @throws {@link NuGetError} `INVALID_CONFIG` for a password that is encrypted, or a proxy that is no URL
   */
  get proxy(): ProxyOptions | undefined {
    const setting = this.#setting('http_proxy');
    const value = this.value('http_proxy');
    if (setting === undefined || value === undefined) return undefined;
    // A host and a port alone would be read as a scheme, which has no place for a user.
    const text = value.includes('://') ? value : `http://${value}`;
    const at = (message: string) => configError(setting.file.path, setting.element.line, message);
    if (!URL.canParse(text)) throw at('http_proxy is no URL');
    const url = new URL(text);
    const user = this.value('http_proxy.user');
    const password = this.value('http_proxy.password');
    if (password !== undefined && ENCRYPTED.test(password)) {
      throw at(
        'http_proxy.password is encrypted for a user of Windows, and nobody else can read it; use HTTPS_PROXY instead',
      );
    }
    if (user !== undefined) url.username = encodeURIComponent(user);
    if (password !== undefined) url.password = encodeURIComponent(password);
    const noProxy = this.value('no_proxy');
    return { httpProxy: url.href, httpsProxy: url.href, ...(noProxy !== undefined && { noProxy }) };
  }

  #setting(key: string): Setting | undefined {
    const name = key.toLowerCase();
    return this.#config.find((setting) => settingKey(setting).toLowerCase() === name);
  }

  #absolute(variable: string): string | undefined {
    const value = this.#environment[variable];
    return value ? this.#checkAbsolute(variable, value) : undefined;
  }

  #checkAbsolute(variable: string, path: string): string {
    const { isAbsolute, resolve } = this.#platform === 'win32' ? win32 : posix;
    if (isAbsolute(path)) return resolve(path);
    throw new NuGetError('INVALID_CONFIG', `${variable}: found "${path}"; allowed: an absolute path`);
  }
}

function readMapping(files: readonly ConfigFile[]): PackageSourceMapping {
  return new PackageSourceMapping(
    mergedSection(files, 'packageSourceMapping').map((setting) => {
      const { element, file } = setting;
      const at = (line: number, message: string) => configError(file.path, line, message);
      const packages = element.children.filter(({ name }) => name.toLowerCase() === 'package');
      if (packages.length === 0)
        throw at(element.line, `the source ${settingKey(setting)} is mapped without any <package>`);
      const patterns = packages.map((entry) => {
        const pattern = attribute(entry, 'pattern')?.trim() ?? '';
        if (pattern === '') throw at(entry.line, '<package> needs a pattern');
        if (pattern.length > 100) throw at(entry.line, 'a pattern has at most 100 characters');
        return pattern;
      });
      return [settingKey(setting), patterns] as const;
    }),
  );
}

function isGallery(url: string): boolean {
  return URL.canParse(url) && /(^|\.)nuget\.org$/.test(new URL(url).hostname);
}

function sameUrl(a: string, b: string): boolean {
  return a.toLowerCase().replace(/\/$/, '') === b.toLowerCase().replace(/\/$/, '');
}
