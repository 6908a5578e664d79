import { redactText } from '@granary/telemetry';
import { CONFIG_KEYS, type ConfigKey, KEYS_BY_VARIABLE } from './keys.js';
import type { ConfigMistake } from './mistake.js';
import { nearest } from './nearest.js';

/** A value for a key, and who says so. */
export interface Setting {
  readonly key: ConfigKey;
  readonly value: unknown;
  readonly origin: string;
}

/** What one source of configuration says, and what is wrong with how it says it. */
export interface SourceReading {
  readonly settings: readonly Setting[];
  readonly mistakes: readonly ConfigMistake[];
}

/** Variables that begin with GRANARY_ and are no configuration keys. */
export const OTHER_VARIABLES: ReadonlyMap<string, string> = new Map([
  ['GRANARY_CONFIG', 'Path of the configuration file, like --config.'],
  ['GRANARY_ADMIN_TOKEN', 'Bearer token with which granary stats asks a server that is not on loopback.'],
  ['GRANARY_NUGET_API_KEY', 'API key with which granary nuget pushes and deletes.'],
]);

/** What Kubernetes and Docker set in every container beside a service that is called granary, or granary-something. */
const SERVICE_LINK = /_SERVICE_(?:HOST|PORT(?:_\w+)?)$|_PORT_\d+_(?:TCP|UDP|SCTP)_(?:PROTO|PORT|ADDR)$/;
const SERVICE_LINK_URL = /_PORT(?:_\d+_(?:TCP|UDP|SCTP))?$/;

function isServiceLink(variable: string, text: string): boolean {
  return SERVICE_LINK.test(variable) || (SERVICE_LINK_URL.test(variable) && /^(?:tcp|udp|sctp):\/\//.test(text));
}

/** Reads `GRANARY_…` variables; one that names no key is a mistake, because a typo would otherwise go unseen. */
export function readEnvironment(environment: Readonly<Record<string, string | undefined>>): SourceReading {
  const settings: Setting[] = [];
  const mistakes: ConfigMistake[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith('GRANARY_') || OTHER_VARIABLES.has(variable) || text === undefined) continue;
    const key = KEYS_BY_VARIABLE.get(variable);
    if (key) settings.push({ key, value: valueFromText(key, text), origin: variable });
    else if (!isServiceLink(variable, text))
      mistakes.push({
        origin: variable,
        key: undefined,
        message: unknownKey(variable, [...KEYS_BY_VARIABLE.keys(), ...OTHER_VARIABLES.keys()], 'variable'),
      });
  }
  return { settings, mistakes };
}

/** A flag as it was typed: `--storage.max_size 20GiB`; without a value for booleans. */
export interface Flag {
  readonly name: string;
  readonly text: string | undefined;
}

export function readFlags(flags: readonly Flag[]): SourceReading {
  const settings: Setting[] = [];
  const mistakes: ConfigMistake[] = [];
  for (const { name, text } of flags) {
    const origin = `--${name}`;
    const key = CONFIG_KEYS.get(name);
    if (!key) mistakes.push({ origin, key: undefined, message: unknownKey(name, CONFIG_KEYS.keys(), 'flag') });
    else if (text !== undefined) settings.push({ key, value: valueFromText(key, text), origin });
    else if (key.shape === 'boolean') settings.push({ key, value: true, origin });
    else mistakes.push({ origin, key: name, message: `has no value; allowed: ${key.allowed}` });
  }
  return { settings, mistakes };
}

/** Text gives what YAML would give; what doesn't fit stays text, and the schema says what is wrong with it. */
function valueFromText(key: ConfigKey, text: string): unknown {
  const items = () =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  if (key.shape === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  if (key.shape === 'number') return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
  if (key.shape === 'json') return parseJson(text);
  if (key.shape === 'list') return items();
  if (key.shape === 'map') {
    // The last "=" separates, because the subject of a certificate holds some itself.
    return Object.fromEntries(
      items().map((item) => {
        const end = item.lastIndexOf('=');
        return end < 0 ? [item, ''] : [item.slice(0, end), item.slice(end + 1)];
      }),
    );
  }
  return text;
}

/** What the text says, or the text when that is nothing. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What to say about a name that names no key. */
export function unknownKey(name: string, known: Iterable<string>, kind = 'key'): string {
  const meant = nearest(name, known);
  return `there is no such ${kind}${meant ? `; did you mean ${kind === 'flag' ? '--' : ''}${meant}?` : ''}`;
}

/** Also where no scheme stands in front of it. */
const USERINFO = /[^\s"/:@]+:[^\s"/@]+@/g;

/** A value as an error message shows it: without credentials that somebody put where none belong. */
export function show(value: unknown): string {
  const text = redactText(JSON.stringify(value) ?? String(value)).replace(USERINFO, '[redacted]@');
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
