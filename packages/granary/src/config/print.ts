import { redactText } from '@granary/telemetry';
import { stringify } from 'yaml';
import { z } from 'zod';
import { findKeyMeta, type KeyMeta, keyMeta } from './fields.js';
import { CONFIG_KEYS, CONFIG_SECTIONS, type ConfigKey } from './keys.js';
import type { LoadedConfig } from './load.js';
import { nugetSourceSchema } from './nuget-schema.js';
import { configSchema } from './schema.js';
import { OTHER_VARIABLES } from './source.js';
import { tierSchema } from './tier-schema.js';

/** Every key as YAML, as `inputOf` and `noteOf` say: what it is set to and the comment behind or above it. */
function yamlOf(inputOf: (key: ConfigKey) => unknown, noteOf: (key: ConfigKey) => { above?: string; behind?: string }) {
  const lines: string[] = [];
  for (const section of CONFIG_SECTIONS) {
    if (lines.length > 0) lines.push('');
    if (!CONFIG_KEYS.has(section)) lines.push(`${section}:`);
    for (const key of CONFIG_KEYS.values()) {
      if (key.section !== section) continue;
      const { above, behind } = noteOf(key);
      const indent = key.name ? '  ' : '';
      if (above) lines.push(`${indent}# ${above}`);
      const value = stringify(inputOf(key), { collectionStyle: 'flow', lineWidth: 0 }).trim();
      lines.push(`${indent}${key.name || section}: ${value}${behind ? ` # ${behind}` : ''}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The configuration in force without credentials, with a note behind each key that says where its value comes from. */
export function printConfig({ settings }: LoadedConfig): string {
  return yamlOf(
    (key) => withoutSecrets(settings.get(key.path)?.value ?? key.defaultInput),
    (key) => ({ behind: settings.get(key.path)?.origin ?? 'default' }),
  );
}

/** What is printed is shown to others, who help: users and passwords in URLs are hidden, and headers, which mostly are tokens. */
function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, one]) => {
    return [name, name === 'headers' ? valuesHidden(one) : withoutSecrets(one)];
  });
  return Object.fromEntries(entries);
}

function valuesHidden(headers: object): object {
  return Object.fromEntries(Object.keys(headers).map((name) => [name, '[redacted]']));
}

/** `granary.example.yaml`: every key with its default and what it is for. */
export function exampleConfig(): string {
  const head = [
    '# Every key of the configuration with its default. Copy what you change into a file of your own and start with',
    '# granary serve --config FILE. A variable (GRANARY_STORAGE_MAX_SIZE) or a flag (--storage.max_size) wins over the',
    '# file. Sizes and durations have units: 20GiB, 500MB, 30s, 1h30m.',
    '',
    '',
  ].join('\n');
  return (
    head +
    yamlOf(
      (key) => key.defaultInput,
      (key) => ({ above: key.description }),
    )
  );
}

/** The configuration file's format as a JSON Schema, for editors. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(configSchema, { io: 'input' });
}

/** The keys of each type of tier, and of a source of packages. */
function itemReference(): string[] {
  const tiers = tierSchema.options.flatMap(({ shape: { type, ...keys } }) => [
    ...heading(`A tier of the type ${type.value}`),
    ...rowsOf(keys),
  ]);
  return [...tiers, ...heading('A source of nuget.sources'), ...rowsOf(nugetSourceSchema.shape)];
}

function heading(title: string): string[] {
  return ['', `### ${title}`, '', '| key | default | what it is |', '| --- | --- | --- |'];
}

function rowsOf(keys: Readonly<Record<string, z.ZodType>>, prefix = ''): string[] {
  return Object.entries(keys).flatMap(([name, schema]) => {
    const { defaultValue, innerType } = schema.def as {
      readonly defaultValue?: unknown;
      readonly innerType?: z.ZodType;
    };
    if (innerType instanceof z.ZodObject) return rowsOf(innerType.shape, `${prefix}${name}.`);
    const meta = noteOn(schema);
    const shown =
      defaultValue === undefined ? '' : `\`${stringify(defaultValue, { collectionStyle: 'flow' }).trim()}\``;
    const meaning = `${meta.description} Allowed: ${meta.allowed}.`.replaceAll('|', '\\|');
    return [`| \`${prefix}${name}\` | ${shown} | ${meaning} |`];
  });
}

/** The note on a key, also where it may be left out. */
function noteOn(schema: z.ZodType): KeyMeta {
  return findKeyMeta(schema) ?? keyMeta((schema.def as unknown as { readonly innerType: z.ZodType }).innerType);
}

/** `docs/configuration.md`: the reference of every key. */
export function configurationReference(): string {
  const lines = [
    '# Configuration',
    '',
    '<!-- Generated from packages/granary/src/config/schema.ts by scripts/generate-configuration-docs.mjs. -->',
    '',
    'Granary runs without any configuration. What you set comes from three places, and the later one wins, key by key:',
    '',
    '1. a YAML file: `granary serve --config granary.yaml`, or the variable `GRANARY_CONFIG`;',
    '2. variables: `GRANARY_STORAGE_MAX_SIZE=20GiB`;',
    '3. flags: `--storage.max_size 20GiB` or `--storage.max_size=20GiB`.',
    '',
    '`granary config check` reports every mistake at once, `granary config print` shows what is in force and where it',
    'comes from, without credentials, and `granary config schema` prints a JSON Schema for your editor. A key that does',
    'not exist is a mistake wherever it stands, even as a variable. `granary.example.yaml` holds every key with its default.',
    '',
    'Sizes are bytes or have a unit (`20GiB`, `500MB`); so have durations (`30s`, `1h30m`). In a variable or a flag a list',
    'is separated by commas (`sha256,blake3`) and so is a map (`ann=admin,ci=write`); `tiers` and `nuget.sources` are JSON',
    'there: `--tiers \'[{"type":"grpc","target":"cache.example:9092"}]\'`.',
  ];
  for (const section of CONFIG_SECTIONS) {
    lines.push('', `## ${section}`, '', '| key | default | what it is |', '| --- | --- | --- |');
    for (const key of CONFIG_KEYS.values()) {
      if (key.section !== section) continue;
      const shown = stringify(key.defaultInput, { collectionStyle: 'flow', lineWidth: 0 }).trim();
      const meaning = `${key.description} Allowed: ${key.allowed}.`.replaceAll('|', '\\|');
      lines.push(`| \`${key.path}\` | \`${shown}\` | ${meaning} |`);
    }
  }
  lines.push(...itemReference());
  lines.push('', '## Other variables', '', '| variable | what it is |', '| --- | --- |');
  for (const [variable, meaning] of OTHER_VARIABLES) lines.push(`| \`${variable}\` | ${meaning} |`);
  return `${lines.join('\n')}\n`;
}
