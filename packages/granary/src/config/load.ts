import { CONFIG_KEYS, type ConfigKey } from './keys.js';
import { ConfigError, type ConfigMistake } from './mistake.js';
import { mistakesInside } from './nested.js';
import { checkTogether } from './rules.js';
import type { Config } from './schema.js';
import { type Flag, readEnvironment, readFlags, type Setting, type SourceReading, show } from './source.js';

export interface ConfigSources {
  /** A YAML file. */
  readonly file?: string | undefined;
  /** Variables; only those that begin with `GRANARY_` matter. Default: none. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly flags?: readonly Flag[];
}

export interface LoadedConfig {
  readonly config: Config;
  /** Who said what for each key; keys that nobody set are missing. */
  readonly settings: ReadonlyMap<string, Setting>;
}

/**
 * The configuration from a file, the environment and flags; the later wins, key by key.
 *
 * @throws ConfigError with every mistake in all of them
 */
export async function loadConfig(sources: ConfigSources = {}): Promise<LoadedConfig> {
  const readings = [
    ...(sources.file === undefined ? [] : [await readFile(sources.file)]),
    readEnvironment(sources.environment ?? {}),
    readFlags(sources.flags ?? []),
  ];
  const mistakes: ConfigMistake[] = readings.flatMap((reading) => reading.mistakes);
  const settings = new Map<string, Setting>();
  for (const setting of readings.flatMap((reading) => reading.settings)) {
    // A value that a later source replaces is checked too: it would be a mistake the day the later one goes.
    mistakes.push(...mistakesIn(setting));
    settings.set(setting.key.path, setting);
  }
  const wrongKeys = new Set(mistakes.map(({ key }) => key?.replace(/\[.*/, '')));
  const config = assemble((key) => (wrongKeys.has(key.path) ? undefined : settings.get(key.path)?.value));
  for (const { keys, message } of checkTogether(config)) {
    if (keys.some((key) => wrongKeys.has(key))) continue;
    const blamed = keys.find((key) => settings.has(key)) ?? keys[0];
    mistakes.push({ origin: settings.get(blamed)?.origin ?? 'default', key: blamed, message });
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return { config, settings };
}

/** The parser of YAML is loaded only where there is a file to read: a start without one is some 20 ms shorter. */
async function readFile(file: string): Promise<SourceReading> {
  const { readYaml } = await import('./yaml-file.js');
  return readYaml(file);
}

/** The configuration with some keys set and defaults for the others, for embedding and tests. */
export function configFrom(values: Readonly<Record<string, unknown>> = {}): Config {
  const flags = Object.entries(values);
  const mistakes = flags.flatMap(([path, value]): ConfigMistake[] => {
    const key = CONFIG_KEYS.get(path);
    if (!key) return [{ origin: path, key: undefined, message: 'there is no such key' }];
    return mistakesIn({ key, value, origin: path });
  });
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return assemble((key) => values[key.path]);
}

function mistakesIn({ key, value, origin }: Setting): ConfigMistake[] {
  const parsed = key.schema.safeParse(value);
  if (parsed.success) return [];
  if (key.shape === 'json' && Array.isArray(value)) return mistakesInside(key, value, origin, parsed.error);
  return [{ origin, key: key.path, message: `found ${show(value)}; allowed: ${key.allowed}` }];
}

function assemble(inputOf: (key: ConfigKey) => unknown): Config {
  const config: Record<string, unknown> = {};
  for (const key of CONFIG_KEYS.values()) {
    config[key.section] ??= {};
    if (key.name) (config[key.section] as Record<string, unknown>)[key.name] = key.schema.parse(inputOf(key));
    else config[key.section] = key.schema.parse(inputOf(key));
  }
  // The keys are those of the schema that Config is made from, each parsed by its own part of it.
  return config as unknown as Config;
}
