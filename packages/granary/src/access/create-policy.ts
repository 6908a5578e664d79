import type { MetricRegistry } from '@granary/telemetry';
import { verify as verifyBcrypt } from '@node-rs/bcrypt';
import { hasCredentials } from '../config/rules.js';
import type { Config } from '../config/schema.js';
import { anonymousLevel } from './exposure.js';
import { AccessPolicy, type Identities } from './policy.js';
import type { SecretHash } from './secret-hash.js';

/** The policy that the configuration asks for, with what it refuses counted. */
export function createPolicy(
  config: Config,
  identities: Identities,
  hash: SecretHash,
  metrics: MetricRegistry,
): AccessPolicy {
  const { auth } = config;
  const refusals = metrics.counter('auth_refusals_total', 'Requests that were refused for who sent them.', ['reason']);
  return new AccessPolicy({
    identities,
    hash,
    verifyPassword: verifyBcrypt,
    hasCredentials: hasCredentials(config),
    anonymous: anonymousLevel(config),
    rights: auth.rights,
    defaultRight: auth.default_right,
    maxFailures: auth.max_failures,
    onRefused: (reason) => refusals.with(reason.toLowerCase()).add(),
  });
}
