import { hostname } from 'node:os';
import { formatAddress } from '../config/address.js';
import { formatSize } from '../config/size.js';
import { NUGET_PREFIX } from '../nuget/nuget-path.js';
import type { Listener } from './listening/listener.js';

export interface ReadyFacts {
  readonly version: string;
  readonly listeners: readonly Listener[];
  readonly directory: string;
  readonly bytes: number;
  readonly maxBytes: number;
  /** Whether there are NuGet feeds. */
  readonly servesFeeds: boolean;
  readonly warnings: readonly string[];
}

const NAMES: Readonly<Record<string, string>> = {
  'listen.grpc': 'gRPC',
  'listen.http': 'HTTP',
  'listen.admin': 'admin',
  'telemetry.metrics_addr': 'metrics',
};

/** What a started server says: where it listens, where it stores, and what to tell Bazel. */
export function readyMessage(facts: ReadyFacts): string {
  const row = (name: string, value: string) => `  ${name.padEnd(8)}${value}`;
  const flags = facts.listeners.flatMap((listener) => {
    const url = cacheUrl(listener);
    return url === undefined ? [] : [`  --remote_cache=${url}`];
  });
  const feeds = facts.listeners.flatMap((listener) => {
    const isServed = facts.servesFeeds && listener.key === 'listen.http';
    return isServed ? ['', 'For NuGet:', `  ${cacheUrl(listener)}${NUGET_PREFIX}/v3/index.json`] : [];
  });
  return [
    `Granary ${facts.version} is ready.`,
    '',
    ...facts.listeners.map(({ key, address, secure }) =>
      row(NAMES[key] ?? key, `${formatAddress(address)}${secure ? ' (TLS)' : ''}`),
    ),
    row('store', `${facts.directory} (${formatSize(facts.bytes)} of ${formatSize(facts.maxBytes)})`),
    '',
    flags.length === 1 ? 'For Bazel:' : 'For Bazel, one of:',
    ...flags,
    ...feeds,
    ...facts.warnings.flatMap((warning) => ['', `WARNING: ${warning}`]),
    '',
  ].join('\n');
}

/** The URL under which clients find a cache's listener; undefined for the others. */
function cacheUrl({ key, address, secure }: Listener): string | undefined {
  const scheme = { 'listen.grpc': secure ? 'grpcs' : 'grpc', 'listen.http': secure ? 'https' : 'http' }[key];
  if (scheme === undefined) return undefined;
  // An address that stands for every interface is none that a client can use.
  const host = address.host === '::' || address.host === '0.0.0.0' ? hostname() : address.host;
  return `${scheme}://${formatAddress({ host, port: address.port })}`;
}
