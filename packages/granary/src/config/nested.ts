import type { z } from 'zod';
import { findKeyMeta } from './fields.js';
import type { ConfigKey } from './keys.js';
import type { ConfigMistake } from './mistake.js';
import { show, unknownKey } from './source.js';

/**
 * What is wrong inside of a list of things that have keys themselves, each mistake with its own path, such as
 * `tiers[1].mode`.
 */
export function mistakesInside(key: ConfigKey, value: unknown, origin: string, error: z.ZodError): ConfigMistake[] {
  return error.issues.flatMap((issue): ConfigMistake[] => {
    const at = (path: readonly PropertyKey[]) => pathText(key.path, path);
    const parent = schemaAt(key.schema, value, issue.path);
    if (issue.code === 'unrecognized_keys') {
      const known = Object.keys(shapeOf(parent) ?? {});
      return issue.keys.map((name) => ({ origin, key: at([...issue.path, name]), message: unknownKey(name, known) }));
    }
    const found = valueAt(value, issue.path);
    const allowed = allowedAt(parent, issue) ?? issue.message;
    const message =
      found === undefined ? `is missing; allowed: ${allowed}` : `found ${show(found)}; allowed: ${allowed}`;
    return [{ origin, key: at(issue.path), message }];
  });
}

function allowedAt(schema: z.ZodType | undefined, issue: z.core.$ZodIssue): string | undefined {
  if (issue.code === 'custom' && issue.message && issue.message !== 'not allowed') return issue.message;
  const described = schema && findKeyMeta(schema)?.allowed;
  if (described !== undefined) return described;
  if (issue.code === 'invalid_union') return schema && choicesOf(schema);
  if (issue.code !== 'invalid_type') return undefined;
  return (issue.expected === 'object' && schema && sectionOf(schema)) || issue.expected;
}

/** What has keys, by the first of them; of several such things, by those of the first. */
function sectionOf(schema: z.ZodType): string | undefined {
  const { options: [option = schema] = [] } = definitionOf(unwrapped(schema));
  const [first, second] = Object.keys(shapeOf(option) ?? {});
  return first && `a section with keys such as ${second === undefined ? first : `${first} and ${second}`}`;
}

/** The schema of a part, as far as there is one; of several, the one that the value's own choice names. */
function schemaAt(schema: z.ZodType, value: unknown, path: readonly PropertyKey[]): z.ZodType | undefined {
  let at: z.ZodType | undefined = schema;
  let inside = value;
  for (const step of path) {
    at = at && optionFor(unwrapped(at), inside);
    const next: z.ZodType | undefined = typeof step === 'number' ? elementOf(at) : shapeOf(at)?.[String(step)];
    // The key that tells which of several it is has a note of its own in each of them, so all are named together.
    if (next === undefined) return at;
    at = next;
    inside = (inside as Record<PropertyKey, unknown> | undefined)?.[step];
  }
  return at && (findKeyMeta(at) ? at : optionFor(unwrapped(at), inside));
}

interface Definition {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly options?: readonly z.ZodType[];
  readonly discriminator?: string;
  readonly values?: readonly unknown[];
}

const definitionOf = (schema: z.ZodType) => schema.def as Definition;

function unwrapped(schema: z.ZodType): z.ZodType {
  const { innerType } = definitionOf(schema);
  return innerType ? unwrapped(innerType) : schema;
}

function elementOf(schema: z.ZodType | undefined): z.ZodType | undefined {
  return schema && definitionOf(unwrapped(schema)).element;
}

function shapeOf(schema: z.ZodType | undefined): Readonly<Record<string, z.ZodType>> | undefined {
  return schema && definitionOf(unwrapped(schema)).shape;
}

function optionFor(schema: z.ZodType, value: unknown): z.ZodType {
  const { options, discriminator } = definitionOf(schema);
  if (!options || discriminator === undefined) return schema;
  const chosen = (value as Record<string, unknown> | undefined)?.[discriminator];
  return options.find((option) => valuesOf(option, discriminator).includes(chosen)) ?? schema;
}

function choicesOf(schema: z.ZodType): string | undefined {
  const { options, discriminator } = definitionOf(unwrapped(schema));
  if (!options || discriminator === undefined) return undefined;
  return options.flatMap((option) => valuesOf(option, discriminator)).join(', ');
}

function valuesOf(option: z.ZodType, discriminator: string): readonly unknown[] {
  const tag = shapeOf(option)?.[discriminator];
  return (tag && definitionOf(unwrapped(tag)).values) ?? [];
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, step) => (at as Record<PropertyKey, unknown> | null | undefined)?.[step], value);
}

function pathText(root: string, path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, step) => text + (typeof step === 'number' ? `[${step}]` : `.${String(step)}`),
    root,
  );
}
