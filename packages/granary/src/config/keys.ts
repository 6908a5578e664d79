import type { z } from 'zod';
import { findKeyMeta, type KeyMeta, keyMeta } from './fields.js';
import { configSchema } from './schema.js';

/** One key of the configuration. */
export interface ConfigKey extends KeyMeta {
  /** `storage.max_size` */
  readonly path: string;
  readonly section: string;
  /** Empty for a section that is a key itself. */
  readonly name: string;
  /** `GRANARY_STORAGE_MAX_SIZE` */
  readonly variable: string;
  readonly schema: z.ZodType;
  /** The default as it is written, with units. */
  readonly defaultInput: unknown;
}

/** Every key by its path, in the order of the schema. */
export const CONFIG_KEYS: ReadonlyMap<string, ConfigKey> = new Map(
  Object.entries(configSchema.shape as Readonly<Record<string, z.ZodPrefault<z.ZodType>>>).flatMap(
    ([section, schema]) => {
      if (findKeyMeta(schema)) return [keyOf(section, '', schema)];
      const { shape } = schema.unwrap() as z.ZodObject<Readonly<Record<string, z.ZodPrefault<z.ZodType>>>>;
      return Object.entries(shape).map(([name, inner]) => keyOf(section, name, inner));
    },
  ),
);

function keyOf(section: string, name: string, schema: z.ZodPrefault<z.ZodType>): [path: string, key: ConfigKey] {
  const path = name ? `${section}.${name}` : section;
  const variable = `GRANARY_${path.replace('.', '_')}`.toUpperCase();
  const defaultInput: unknown = schema.def.defaultValue;
  return [path, { ...keyMeta(schema), path, section, name, variable, schema, defaultInput }];
}

/** Sections of the configuration, in the order of the schema. */
export const CONFIG_SECTIONS: readonly string[] = Object.keys(configSchema.shape);

/** Keys by the variable that sets them. */
export const KEYS_BY_VARIABLE: ReadonlyMap<string, ConfigKey> = new Map(
  [...CONFIG_KEYS.values()].map((key) => [key.variable, key]),
);
