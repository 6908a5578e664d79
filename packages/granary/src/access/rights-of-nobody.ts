import { ConfigError, type ConfigMistake } from '../config/mistake.js';
import { nearest } from '../config/nearest.js';
import { hasClientCertificates } from '../config/rules.js';
import type { Config } from '../config/schema.js';
import type { Identities } from './policy.js';

/**
 * Names in `auth.rights` that nobody can have. Whoever was meant has `auth.default_right` instead, which may be more than
 * it was to get, and nothing else would say so.
 */
export function rightsOfNobody(config: Config, { users, tokens }: Identities): ConfigMistake[] {
  const known = new Set([...users.keys(), ...tokens.map(({ owner }) => owner.name)]);
  const certificates = hasClientCertificates(config);
  return Object.keys(config.auth.rights).flatMap((name): ConfigMistake[] => {
    // Which certificates there are is only known when clients show them.
    if (known.has(name) || (certificates && name.includes('='))) return [];
    const meant = nearest(name, known) ?? (certificates ? `CN=${name}` : undefined);
    const message = `there is no user and no token named ${JSON.stringify(name)}${meant ? `; did you mean ${JSON.stringify(meant)}?` : ''}`;
    return [{ origin: 'auth.rights', key: 'auth.rights', message }];
  });
}

/**
 * @throws ConfigError with every name in `auth.rights` that nobody can have
 */
export function refuseRightsOfNobody(config: Config, identities: Identities): void {
  const mistakes = rightsOfNobody(config, identities);
  if (mistakes.length > 0) throw new ConfigError(mistakes);
}
