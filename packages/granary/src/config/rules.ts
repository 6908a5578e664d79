import { isPortKnownToGrpc, PORT_UNKNOWN_TO_GRPC, parseOtlpEndpoint } from '@granary/telemetry';
import { URL_ALLOWED } from './nuget-schema.js';
import type { Config } from './schema.js';
import { BACKING_CACHE, tierName } from './tier-schema.js';

/** A mistake that only several keys together make. */
export interface RuleBreach {
  readonly keys: readonly [string, ...string[]];
  readonly message: string;
}

/** Room in a message for what is around the bytes of a batch. */
const BATCH_HEADROOM_BYTES = 64 * 1024;

/** What each key allows by itself, but not together with the others. */
export function checkTogether(config: Config): RuleBreach[] {
  return [
    breachesOfListeners,
    breachesOfTls,
    breachesOfAuth,
    breachesOfLimits,
    breachesOfTelemetry,
    breachesOfTiers,
    breachesOfNuGet,
  ].flatMap((breachesIn) => breachesIn(config));
}

function breachesOfListeners({ listen }: Config): RuleBreach[] {
  if (listen.grpc || listen.http) return [];
  return [{ keys: ['listen.grpc', 'listen.http'], message: 'found none for both; at least one must listen' }];
}

function breachesOfTls({ tls }: Config): RuleBreach[] {
  const breaches: RuleBreach[] = [];
  if ((tls.cert_file === undefined) !== (tls.key_file === undefined)) {
    const [given, missing] = tls.cert_file ? ['tls.cert_file', 'tls.key_file'] : ['tls.key_file', 'tls.cert_file'];
    breaches.push({ keys: [given, missing] as [string, string], message: `needs ${missing} as well` });
  }
  if (tls.client_auth !== 'none' && !tls.cert_file) {
    breaches.push({ keys: ['tls.client_auth', 'tls.cert_file'], message: 'needs tls.cert_file and tls.key_file' });
  }
  if (tls.client_auth.includes('verify') && !tls.ca_file) {
    const message = `found "${tls.client_auth}", which needs tls.ca_file to verify against`;
    breaches.push({ keys: ['tls.client_auth', 'tls.ca_file'], message });
  }
  return breaches;
}

function breachesOfAuth(config: Config): RuleBreach[] {
  if (config.auth.anonymous !== 'none' || hasCredentials(config)) return [];
  const message =
    'found "none", but nobody can identify themselves without auth.htpasswd_file, auth.tokens_file or tls.ca_file';
  return [{ keys: ['auth.anonymous', 'auth.htpasswd_file'], message }];
}

function breachesOfLimits({ limits }: Config): RuleBreach[] {
  const batch = limits.max_batch_total_size;
  const largest = Math.max(1, limits.max_message_size - BATCH_HEADROOM_BYTES);
  if (batch >= 1 && batch <= largest) return [];
  const message = `${batch} bytes in a batch (limits.max_batch_total_size); allowed: 1 to ${largest}, which is limits.max_message_size less 64KiB`;
  return [{ keys: ['limits.max_batch_total_size', 'limits.max_message_size'], message }];
}

function breachesOfTelemetry({ telemetry, listen }: Config): RuleBreach[] {
  const breaches: RuleBreach[] = [];
  const { metrics_addr: metrics } = telemetry;
  if (metrics && metrics.port !== 0 && sameAddress(metrics, listen.admin)) {
    breaches.push({ keys: ['telemetry.metrics_addr', 'listen.admin'], message: 'is the same address as listen.admin' });
  }
  const collector = telemetry.tracing_endpoint && parseOtlpEndpoint(telemetry.tracing_endpoint);
  if (telemetry.tracing_protocol === 'grpc' && collector) {
    const keys = ['telemetry.tracing_endpoint', 'telemetry.tracing_protocol'] as const;
    if (collector.pathname !== '/') {
      breaches.push({ keys, message: 'has a path, which means something only with telemetry.tracing_protocol: http' });
    }
    if (!isPortKnownToGrpc(collector)) breaches.push({ keys, message: PORT_UNKNOWN_TO_GRPC });
  }
  return breaches;
}

/** What the tiers must not have in common, and what each of them needs together. */
function breachesOfTiers({ tiers, backing_cache: { target } }: Config): RuleBreach[] {
  const breaches: RuleBreach[] = [];
  const seen = new Set<string>(target === undefined ? [] : [BACKING_CACHE]);
  for (const [i, tier] of tiers.entries()) {
    const name = tierName(tier);
    if (seen.has(name)) {
      const message = `tiers[${i}] has the name "${name}" as another tier; give each a name of its own`;
      breaches.push({ keys: ['tiers'], message });
    }
    seen.add(name);
    if ((tier.cert_file === undefined) !== (tier.key_file === undefined))
      breaches.push({ keys: ['tiers'], message: `tiers[${i}] needs both of cert_file and key_file, or none` });
  }
  return breaches;
}

function breachesOfNuGet({ nuget }: Config): RuleBreach[] {
  const { sources, hosted, hosted_name: hostedName, push_to: pushTo } = nuget;
  const breaches = breachesOfSources(sources);
  const seen = new Set(sources.map(({ name }) => name));
  if (hosted && seen.has(hostedName)) {
    const message = `"${hostedName}" is the name of a source, too; give the hosted feed another one`;
    breaches.push({ keys: ['nuget.hosted_name', 'nuget.sources'], message });
  }
  if (!hosted && sources.length === 0)
    breaches.push({
      keys: ['nuget.sources', 'nuget.hosted'],
      message: 'there is no source, and no hosted feed; nuget.enabled: false serves none',
    });
  const names = [...(hosted ? [hostedName] : []), ...seen];
  if (pushTo !== undefined && !names.includes(pushTo))
    breaches.push({ keys: ['nuget.push_to'], message: `there is no source "${pushTo}"; allowed: ${names.join(', ')}` });
  if (nuget.public_url !== undefined && !URL.canParse(nuget.public_url))
    breaches.push({ keys: ['nuget.public_url'], message: 'is no URL' });
  return breaches;
}

function breachesOfSources(sources: Config['nuget']['sources']): RuleBreach[] {
  const breaches: RuleBreach[] = [];
  const wrong = (message: string) => breaches.push({ keys: ['nuget.sources'], message });
  const seen = new Set<string>();
  for (const [i, source] of sources.entries()) {
    const place = `sources[${i}]`;
    if (seen.has(source.name))
      wrong(`${place} has the name "${source.name}" as another source; give each a name of its own`);
    seen.add(source.name);
    if (!URL.canParse(source.url)) wrong(`${place}.url is no URL; allowed: ${URL_ALLOWED}`);
    if ((source.cert_file === undefined) !== (source.key_file === undefined))
      wrong(`${place} needs both of cert_file and key_file, or none`);
    const { username, password_file: password, token_file: token } = source.auth;
    if ((username === undefined) !== (password === undefined))
      wrong(`${place}.auth needs both of username and password_file, or none`);
    if (username !== undefined && token !== undefined)
      wrong(`${place}.auth has a user and a bearer token; one of them is sent`);
  }
  return breaches;
}

/** Whether there is any way for a client to say who it is. */
export function hasCredentials({ auth, tls }: Config): boolean {
  return auth.htpasswd_file !== undefined || auth.tokens_file !== undefined || hasClientCertificates({ tls });
}

/** Whether clients can identify themselves by a certificate. */
export function hasClientCertificates({ tls }: Pick<Config, 'tls'>): boolean {
  return tls.client_auth !== 'none' && tls.ca_file !== undefined;
}

function sameAddress(a: Config['listen']['grpc'], b: Config['listen']['grpc']): boolean {
  return a?.host === b?.host && a?.port === b?.port;
}
