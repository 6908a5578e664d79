import { HttpClient, type HttpClientOptions } from '@granary/http';
import {
  configuredAuthenticator,
  loadNuGetConfig,
  NuGetClient,
  type NuGetClientSource,
  type NuGetConfig,
  type PackageSource,
  SourceCacheContext,
  SourceRepository,
} from '@granary/nuget';
import { lastingFailures } from '@granary/resilience';
import { redactText } from '@granary/telemetry';
import { isLoopback } from '../../config/address.js';
import { granaryVersion } from '../../version.js';
import { plain } from '../terminal/text.js';
import { type NuGetIo, UsageError } from './run-command.js';
import { warningsTo } from './source-warnings.js';

/** A command asks for many things at once, which all fail together when a source stumbles, and are there when asked again. */
const MAX_FAILURES = 5;
const OUTAGE_MS = 5000;

/** Options of every command that asks sources. */
export interface SessionOptions {
  /** Names or URLs. */
  readonly source?: readonly string[];
  readonly configFile?: string;
  readonly json?: boolean;
  /** False asks the sources for everything anew. */
  readonly cache?: boolean;
}

type Source = Pick<
  PackageSource,
  'name' | 'url' | 'protocolVersion' | 'allowInsecureConnections' | 'disableTlsCertificateValidation'
>;

/** What a command needs to ask sources: configuration, client, and what goes with every call. */
export interface Session extends AsyncDisposable {
  readonly config: NuGetConfig;
  readonly sources: readonly Source[];
  readonly client: NuGetClient;
  /** Names of the sources that are asked for a package, for who reads that they don't have it. */
  readonly sourcesFor: (id: string) => string;
  readonly call: { readonly signal: AbortSignal; readonly cacheContext: SourceCacheContext };
}

/**
 * Opens the sources that `--source` names, else those of nuget.config that are enabled. Sources that somebody asks for by
 * name or URL have every package, whatever the package source mapping says.
 *
 * @param isFailureResult which answers say that a source is down. Default: statuses from 500 on
 */
export async function openSession(
  options: SessionOptions,
  io: NuGetIo,
  isFailureResult?: (response: unknown) => boolean,
): Promise<Session> {
  const config = await loadNuGetConfig({ configFile: options.configFile, environment: io.environment });
  const sources = options.source ? namedSources(config, options.source) : configuredSources(config, io);
  warnOfPlainHttp(sources, io);
  const logger = warningsTo(io, sources);
  const cacheDir = config.httpCacheFolder;
  const http: Omit<HttpClientOptions, 'userAgent'> = {
    proxy: config.proxy ?? true,
    maxConnectionsPerHost: config.maxHttpRequestsPerSource,
    circuitBreaker: { strategy: lastingFailures(MAX_FAILURES, OUTAGE_MS), isFailureResult },
  };
  // Some servers lead clients of NuGet from their first page to their feed, and know them by this word.
  const userAgent = `granary-nuget/${granaryVersion()}`;
  const owned: AsyncDisposable[] = [];
  const own = <T extends AsyncDisposable>(resource: T): T => {
    owned.unshift(resource);
    return resource;
  };
  const open = (source: Source): NuGetClientSource => {
    const init = {
      name: source.name,
      sourceUrl: source.url,
      auth: configuredAuthenticator(config, source, { environment: io.environment }),
      // What ends with .json is looked at; others are of protocol 3 only where somebody says so.
      protocol: source.protocolVersion === 3 && !/\.json$/i.test(source.url) ? ('v3' as const) : undefined,
    };
    if (!source.disableTlsCertificateValidation) return init;
    const httpClient = own(new HttpClient({ ...http, userAgent, logger, tls: { rejectUnauthorized: false } }));
    return own(new SourceRepository({ ...init, httpClient, logger, cache: { disk: { folder: cacheDir } } }));
  };
  const mapping = options.source ? undefined : config.mapping;
  const client = own(new NuGetClient({ sources: sources.map(open), cacheDir, mapping, http, userAgent, logger }));
  return {
    config,
    sources,
    client,
    sourcesFor(id) {
      const mapped = mapping?.sourcesFor(id)?.map((name) => name.toLowerCase());
      const asked = sources.filter(({ name }) => mapped === undefined || mapped.includes(name.toLowerCase()));
      return asked.map(({ name }) => name).join(', ') || 'any source that the package source mapping gives it';
    },
    call: { signal: io.signal, cacheContext: new SourceCacheContext({ noCache: options.cache === false }) },
    async [Symbol.asyncDispose]() {
      for (const resource of owned) await resource[Symbol.asyncDispose]();
    },
  };
}

/**
 * The one source that packages are pushed to or deleted from.
 *
 * @throws UsageError when nobody says which, or says several
 */
export function pushOptions<T extends SessionOptions>(options: T, config: NuGetConfig): T {
  const { source = config.defaultPushSource === undefined ? [] : [config.defaultPushSource] } = options;
  if (source.length === 1) return { ...options, source };
  throw new UsageError(
    source.length > 1
      ? '--source: there can be one only'
      : 'say where with --source, or with defaultPushSource in nuget.config',
  );
}

/** Drives of Windows have one letter only. */
const SCHEME = /^[a-z][a-z\d+.-]+:/i;

function configuredSources(config: NuGetConfig, io: NuGetIo): readonly Source[] {
  const asked = config.enabledSources.filter(isHttp);
  for (const { name, url } of config.enabledSources) {
    if (isHttp({ url })) continue;
    const why = SCHEME.test(url) ? 'it is no http or https URL' : 'it is a folder, not a server';
    io.err(`granary: the source ${plain(`${name} (${redactText(url)})`)} is left out: ${why}\n`);
  }
  if (asked.length > 0) return asked;
  throw new UsageError(
    'nuget.config has no source that is enabled; name one with --source, or with granary nuget sources',
  );
}

function namedSources(config: NuGetConfig, names: readonly string[]): readonly Source[] {
  const sources = new Map<string, Source>();
  for (const name of names) {
    const source = config.source(name) ?? unknownSource(name, config);
    if (!isHttp(source)) throw new UsageError(`--source: ${source.url} is no http or https URL`);
    // Several on one host are told apart by all of their URLs.
    const other = sources.get(source.name.toLowerCase());
    const isNamesake = other !== undefined && other.url !== source.url;
    const shown = isNamesake ? { ...source, name: withoutUserinfo(source.url) } : source;
    sources.set(shown.name.toLowerCase(), shown);
  }
  return [...sources.values()];
}

function unknownSource(text: string, config: NuGetConfig): Source {
  if (!/^https?:/i.test(text) || !URL.canParse(text)) {
    const names = config.sources.map(({ name }) => name).join(', ') || 'none';
    throw new UsageError(`--source: found "${redactText(text)}"; allowed: a URL, or the name of a source: ${names}`);
  }
  return {
    name: new URL(text).host,
    url: text,
    protocolVersion: undefined,
    // Whoever types http means it.
    allowInsecureConnections: true,
    disableTlsCertificateValidation: false,
  };
}

function withoutUserinfo(text: string): string {
  const url = new URL(text);
  url.username = '';
  url.password = '';
  return url.href;
}

function isHttp({ url }: { readonly url: string }): boolean {
  return /^https?:/i.test(url) && URL.canParse(url);
}

function warnOfPlainHttp(sources: readonly Source[], io: NuGetIo): void {
  for (const { name, url, allowInsecureConnections } of sources) {
    const { protocol, hostname } = new URL(url);
    if (protocol !== 'http:' || allowInsecureConnections || isLoopback(hostname.replace(/^\[|\]$/g, ''))) continue;
    io.err(
      `granary: the source ${plain(name)} is asked over plain http, where everybody on the way can read and change what comes; ` +
        'allowInsecureConnections="true" in nuget.config says that this is meant\n',
    );
  }
}
