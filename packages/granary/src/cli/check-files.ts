import { loadIdentities } from '../access/load-identities.js';
import { refuseRightsOfNobody } from '../access/rights-of-nobody.js';
import { SecretHash } from '../access/secret-hash.js';
import { ConfigError } from '../config/mistake.js';
import type { Config } from '../config/schema.js';
import { readAllSourceFiles } from '../nuget/source-files.js';
import { checkTiers } from '../tiers/check-tiers.js';
import { loadTls } from '../tls/tls-material.js';

/**
 * Reads the files that the configuration names, and looks at what only shows where it is used.
 *
 * @throws ConfigError with every mistake in all of them
 */
export async function checkFiles(config: Config): Promise<void> {
  const results = await Promise.allSettled([
    loadTls(config.tls),
    loadIdentities(config.auth, new SecretHash()).then((found) => refuseRightsOfNobody(config, found)),
    checkTiers(config.tiers),
    config.nuget.enabled ? readAllSourceFiles(config.nuget.sources) : undefined,
  ]);
  const mistakes = results.flatMap((result) => {
    if (result.status === 'fulfilled') return [];
    if (result.reason instanceof ConfigError) return result.reason.mistakes;
    throw result.reason;
  });
  if (mistakes.length > 0) throw new ConfigError(mistakes);
}
