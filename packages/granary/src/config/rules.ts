import { isPortKnownToGrpc, PORT_UNKNOWN_TO_GRPC, parseOtlpEndpoint } from '@granary/telemetry';
import { breachesOfNuGet } from './nuget-config.js';
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
  const { tls, limits, listen, telemetry, auth } = config;
  const breaches: RuleBreach[] = [];
  if (!listen.grpc && !listen.http) {
    breaches.push({ keys: ['listen.grpc', 'listen.http'], message: 'found none for both; at least one must listen' });
  }
  if ((tls.cert_file === undefined) !== (tls.key_file === undefined)) {
    const [given, missing] = tls.cert_file ? ['tls.cert_file', 'tls.key_file'] : ['tls.key_file', 'tls.cert_file'];
    breaches.push({ keys: [given, missing] as [string, string], message: `needs ${missing} as well` });
  }
  if (tls.client_auth !== 'none' && !tls.cert_file) {
    breaches.push({ keys: ['tls.client_auth', 'tls.cert_file'], message: 'needs tls.cert_file and tls.key_file' });
  }
  if (tls.client_auth.includes('verify') && !tls.ca_file) {
    breaches.push({
      keys: ['tls.client_auth', 'tls.ca_file'],
      message: `found "${tls.client_auth}", which needs tls.ca_file to verify against`,
    });
  }
  if (auth.anonymous === 'none' && !hasCredentials(config)) {
    breaches.push({
      keys: ['auth.anonymous', 'auth.htpasswd_file'],
      message:
        'found "none", but nobody can identify themselves without auth.htpasswd_file, auth.tokens_file or tls.ca_file',
    });
  }
  const largestBatch = Math.max(1, limits.max_message_size - BATCH_HEADROOM_BYTES);
  if (limits.max_batch_total_size < 1 || limits.max_batch_total_size > largestBatch) {
    breaches.push({
      keys: ['limits.max_batch_total_size', 'limits.max_message_size'],
      message: `${limits.max_batch_total_size} bytes in a batch (limits.max_batch_total_size); allowed: 1 to ${largestBatch}, which is limits.max_message_size less 64KiB`,
    });
  }
  if (
    telemetry.metrics_addr &&
    telemetry.metrics_addr.port !== 0 &&
    sameAddress(telemetry.metrics_addr, listen.admin)
  ) {
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
  return [...breaches, ...breachesOfTiers(config), ...breachesOfNuGet(config.nuget)];
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
