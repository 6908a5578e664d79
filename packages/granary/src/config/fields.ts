import { OTLP_ENDPOINT_ALLOWED, parseOtlpEndpoint } from '@granary/telemetry';
import { z } from 'zod';
import { ADDRESS_ALLOWED, type ListenAddress, parseAddress } from './address.js';
import { DURATION_ALLOWED, parseDuration, TIME_ALLOWED } from './duration.js';
import { parseSize, SIZE_ALLOWED } from './size.js';

/** What a key is for, how it is written and what is allowed, kept with its schema. */
export interface KeyMeta {
  readonly description: string;
  /** What may be written, for error messages and the reference. */
  readonly allowed: string;
  /** How text from a variable or a flag becomes a value: a list splits at commas, a map also at `=`. */
  readonly shape: 'scalar' | 'boolean' | 'number' | 'list' | 'map' | 'json';
}

const metaRegistry = z.registry<KeyMeta>();

/** The notes on a key's schema. */
export function keyMeta(schema: z.ZodType): KeyMeta {
  const meta = findKeyMeta(schema);
  if (!meta) throw new TypeError('a configuration key without a description');
  return meta;
}

/** The same for any schema; undefined for those that are no key, such as a section of keys. */
export function findKeyMeta(schema: z.ZodType): KeyMeta | undefined {
  return metaRegistry.get(schema);
}

function described<T extends z.ZodType>(schema: T, meta: KeyMeta): T {
  const named = schema.describe(meta.description);
  metaRegistry.add(named, meta);
  return named;
}

/** A text or number that `parse` understands. */
function parsed<T>(parse: (text: string | number) => T | undefined) {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    const result = parse(value);
    if (result === undefined) context.issues.push({ code: 'custom', message: 'not allowed', input: value });
    return result as T;
  });
}

const bounded = (parse: (text: string | number) => number | undefined, least: number) => (text: string | number) => {
  const value = parse(text);
  return value === undefined || value < least ? undefined : value;
};

/** Bytes, from a size with units. */
export function size(defaultValue: string, description: string, least: { bytes: number; text: string } = ZERO) {
  const allowed = least.bytes > 0 ? `${SIZE_ALLOWED}; at least ${least.text}` : SIZE_ALLOWED;
  const schema = parsed(bounded(parseSize, least.bytes)).prefault(defaultValue);
  return described(schema, { description, allowed, shape: 'scalar' });
}
const ZERO = { bytes: 0, text: '0' };

/** Milliseconds, from a duration with units. */
export function duration(defaultValue: string, description: string) {
  const schema = parsed(parseDuration).prefault(defaultValue);
  return described(schema, { description, allowed: DURATION_ALLOWED, shape: 'scalar' });
}

/** Milliseconds, one at least: for what can't be without a limit. */
export function timeLimit(defaultValue: string, description: string) {
  const schema = parsed(bounded(parseDuration, 1)).prefault(defaultValue);
  return described(schema, { description, allowed: TIME_ALLOWED, shape: 'scalar' });
}

/** An address to listen on, or undefined for `none`. */
export function address(defaultValue: string, description: string) {
  const schema = z.string().transform((text, context): ListenAddress | undefined => {
    if (text === 'none') return undefined;
    const result = parseAddress(text);
    if (!result) context.issues.push({ code: 'custom', message: 'not allowed', input: text });
    return result;
  });
  return described(schema.prefault(defaultValue), { description, allowed: ADDRESS_ALLOWED, shape: 'scalar' });
}

/** A path; empty means not set. */
export function path(description: string) {
  const schema = z
    .string()
    .transform((text) => text || undefined)
    .prefault('');
  return described(schema, { description, allowed: 'a path, or empty', shape: 'scalar' });
}

/** Where a collector takes traces, or undefined for none. */
export function collectorEndpoint(description: string) {
  const schema = z.string().transform((text, context): string | undefined => {
    const endpoint = text.trim();
    if (endpoint === '') return undefined;
    if (!parseOtlpEndpoint(endpoint)) context.issues.push({ code: 'custom', message: 'not allowed', input: text });
    return endpoint;
  });
  return described(schema.prefault(''), { description, allowed: OTLP_ENDPOINT_ALLOWED, shape: 'scalar' });
}

/** A name that is never empty. */
export function name(defaultValue: string, description: string) {
  const schema = z.string().trim().min(1).prefault(defaultValue);
  return described(schema, { description, allowed: 'a text that is not empty', shape: 'scalar' });
}

/** A share of a whole. */
export function ratio(defaultValue: number, description: string) {
  const schema = z.number().min(0).max(1).prefault(defaultValue);
  return described(schema, { description, allowed: 'a number from 0 to 1', shape: 'number' });
}

/** A text that `pattern` fits. Without a default it has to be given. */
export function text(pattern: RegExp, allowed: string, description: string, defaultValue?: string) {
  const schema = z.string().regex(pattern);
  const meta = { description, allowed, shape: 'scalar' } as const;
  return described(defaultValue === undefined ? schema : schema.prefault(defaultValue), meta);
}

/** Texts that `pattern` fits, one at least. */
export function texts(pattern: RegExp, allowed: string, description: string) {
  return described(z.array(entryOf(pattern, allowed, description)).min(1), { description, allowed, shape: 'list' });
}

/** One of a list can be wrong alone, and what is allowed is to be said of it, too. */
function entryOf(pattern: RegExp, allowed: string, description: string) {
  return described(z.string().regex(pattern), { description, allowed, shape: 'list' });
}

/** The same, or nothing: then it is undefined. */
export function optionalText(pattern: RegExp, allowed: string, description: string) {
  const schema = z
    .union([z.literal(''), z.string().regex(pattern)])
    .transform((value) => value || undefined)
    .prefault('');
  return described(schema, { description, allowed, shape: 'scalar' });
}

/** Texts that `pattern` fits, or none. */
export function textList(pattern: RegExp, allowed: string, description: string) {
  return described(z.array(entryOf(pattern, allowed, description)).prefault([]), {
    description,
    allowed,
    shape: 'list',
  });
}

/** A list of things that have keys themselves. */
export function listOf<T extends z.ZodType>(
  item: T,
  allowed: string,
  description: string,
  defaultValue: readonly z.input<T>[] = [],
) {
  const schema = z.array(item).prefault([...defaultValue] as never);
  return described(schema, { description, allowed, shape: 'json' });
}

export function integer(defaultValue: number, least: number, most: number, description: string) {
  const allowed = `a whole number from ${least} to ${most}`;
  return described(z.int().min(least).max(most).prefault(defaultValue), { description, allowed, shape: 'number' });
}

/** The same, or undefined where it isn't given. */
export function optionalInteger(least: number, most: number, description: string) {
  const allowed = `a whole number from ${least} to ${most}`;
  return described(z.int().min(least).max(most).optional(), { description, allowed, shape: 'number' });
}

export function boolean(defaultValue: boolean, description: string) {
  return described(z.boolean().prefault(defaultValue), { description, allowed: 'true or false', shape: 'boolean' });
}

export function choice<const T extends readonly [string, ...string[]]>(
  values: T,
  defaultValue: T[number],
  description: string,
) {
  const schema = z.enum(values).prefault(defaultValue as never);
  return described(schema, { description, allowed: oneOf(values), shape: 'scalar' });
}

/**
 * The same with `on` or `off` among the values. True and false are taken for them: Helm and others who read YAML 1.1 make
 * these of the words.
 */
export function switchable<const T extends readonly [string, ...string[]]>(
  values: T,
  defaultValue: T[number],
  description: string,
) {
  // What zod makes of the type of such an enum can't be read again from declarations.
  const words: z.ZodType<T[number]> = z.enum(values) as never;
  const schema = z.union([words, z.boolean()]).transform((value, context): T[number] => {
    const word = typeof value === 'string' ? value : value ? 'on' : 'off';
    if (!values.includes(word)) context.issues.push({ code: 'custom', message: 'not allowed', input: value });
    return word;
  });
  return described(schema.prefault(defaultValue as never), { description, allowed: oneOf(values), shape: 'scalar' });
}

export function choiceOfNumbers<const T extends readonly [number, ...number[]]>(
  values: T,
  defaultValue: T[number],
  description: string,
) {
  const schema = z.literal([...values] as [T[number], ...T[number][]]).prefault(defaultValue as never);
  return described(schema, { description, allowed: oneOf(values.map(String)), shape: 'number' });
}

/** One of some values or another name for one, whatever the case of its letters; the value itself comes out. */
export function aliasedChoice<const T extends readonly [string, ...string[]]>(
  values: T,
  aliases: Readonly<Record<string, T[number]>>,
  defaultValue: T[number],
  description: string,
) {
  const meant = new Map<string, T[number]>([
    ...values.map((value) => [value, value] as const),
    ...Object.entries(aliases),
  ]);
  // The names alone would do as a type, but editors complete what is listed.
  const schema = z.union([z.enum([...meant.keys()]), z.string()]).transform((text, context): T[number] => {
    const value = meant.get(text.toLowerCase());
    if (value === undefined) context.issues.push({ code: 'custom', message: 'not allowed', input: text });
    return value as T[number];
  });
  const others = Object.entries(aliases).map(([alias, value]) => `${alias} for ${value}`);
  const allowed = `${oneOf(values)}; also ${others.join(', ')}; in any case`;
  return described(schema.prefault(defaultValue), { description, allowed, shape: 'scalar' });
}

export function choices<const T extends readonly [string, ...string[]]>(
  values: T,
  defaultValue: readonly T[number][],
  description: string,
) {
  const schema = z
    .array(z.enum(values))
    .min(1)
    .prefault([...defaultValue] as never);
  return described(schema, { description, allowed: `a list of at least one of ${values.join(', ')}`, shape: 'list' });
}

/** Names with one of some values each. */
export function choiceByName<const T extends readonly [string, ...string[]]>(
  values: T,
  nameKind: string,
  description: string,
) {
  const schema = z.record(z.string().min(1), z.enum(values)).prefault({});
  return described(schema, { description, allowed: `${nameKind} with ${oneOf(values)} each`, shape: 'map' });
}

/** Names with a text each; what YAML takes for a number or a boolean is a text, too. */
export function textByName(description: string) {
  const text = z.union([z.string().min(1), z.number(), z.boolean()]).transform(String);
  // A name with "=" in it can only come from a variable or flag whose text had one too many.
  const schema = z.record(z.string().regex(/^[^=]+$/), text).prefault({});
  return described(schema, { description, allowed: 'names without = and a text for each', shape: 'map' });
}

function oneOf(values: readonly string[]): string {
  return `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
