import { readFile } from 'node:fs/promises';
import { nullLogger } from '@granary/telemetry';
import { ConfigError, type ConfigMistake, unreadable } from '../config/mistake.js';
import type { TierConfig } from '../config/tier-schema.js';
import { openTier } from './open-tier.js';
import { readTierTls } from './tier-tls.js';

/**
 * Looks into the files that tiers name, and has each tier say whether its settings make sense together, which asks nothing
 * of anybody. Some files are only read when the tier is first asked, so a wrong path would show as a tier that never
 * answers.
 *
 * @throws ConfigError with every mistake in them
 */
export async function checkTiers(tiers: readonly TierConfig[]): Promise<void> {
  const mistakes = (await Promise.all(tiers.map((tier, i) => mistakesOf(tier, `tiers[${i}]`)))).flat();
  if (mistakes.length > 0) throw new ConfigError(mistakes);
}

async function mistakesOf(tier: TierConfig, place: string): Promise<readonly ConfigMistake[]> {
  const files = Object.entries(tier).flatMap(([key, file]) =>
    key.endsWith('_file') && typeof file === 'string' ? [mistakeIn(`${place}.${key}`, file)] : [],
  );
  const mistakes = (await Promise.all(files)).filter((mistake) => mistake !== undefined);
  if (mistakes.length > 0) return mistakes;
  try {
    // Of all clients only Redis' connects before it is asked for anything.
    if (tier.type === 'redis') await readTierTls(tier, place);
    else await (await openTier(tier, place, nullLogger)).close();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
}

async function mistakeIn(key: string, origin: string): Promise<ConfigMistake | undefined> {
  try {
    return (await readFile(origin, 'utf8')).trim() === '' ? { origin, key, message: 'is empty' } : undefined;
  } catch (error) {
    return unreadable(origin, key, error);
  }
}
