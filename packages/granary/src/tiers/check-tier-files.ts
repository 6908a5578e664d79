import { readFile } from 'node:fs/promises';
import { ConfigError, type ConfigMistake } from '../config/mistake.js';
import type { TierConfig } from '../config/tier-schema.js';
import { readTierTls } from './tier-tls.js';

/**
 * Looks into the files that tiers name. Some are only read when the tier is first asked, so a wrong path would show as a
 * tier that never answers.
 *
 * @throws ConfigError with every mistake in them
 */
export async function checkTierFiles(tiers: readonly TierConfig[]): Promise<void> {
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
    await readTierTls(tier, place);
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
    return { origin, key, message: `can't be read: ${(error as Error).message}` };
  }
}
