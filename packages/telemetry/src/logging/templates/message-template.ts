import { fieldKey, fieldName, jsonString } from '../json-text.js';
import { isSuspicious, type Range, REDACTED } from '../secrets/redaction.js';
import { redactTemplate, secretHoles } from '../secrets/template-secrets.js';
import { type NumberFormat, parseFormat } from './number-format.js';

/** A place in a template for a value: `{Name}`, `{@Name}`, `{$Name}`, `{Name:F1}`, `{Name,8:F1}`. */
interface Hole {
  readonly name: string;
  /** The name among other fields. */
  readonly field: string;
  /** What JSON lines have before the value: a comma, the quoted field and a colon. */
  readonly key: string;
  /** Which of the arguments is shown: as the holes come, unless they are all numbers (`{1} and {0}`). */
  readonly index: number;
  /** `@`: the value's structure is kept, whatever its `toString` says. `$`: it is made a text. */
  readonly operator: string;
  /** Least width: positive pads on the left, negative on the right. 0: as it comes. */
  readonly width: number;
  /** How a number is written; undefined: as it comes. */
  readonly format: NumberFormat | undefined;
  /** Whether the text around says that the value is a secret: `Authorization: {Header}`. */
  readonly secret: boolean;
  /** As it was written; shown when there is no value. */
  readonly token: string;
}

export interface MessageTemplate {
  /** As it was written, but without secrets. */
  readonly text: string;
  /** The text as JSON lines begin with it. */
  readonly json: string;
  readonly parts: readonly (string | Hole)[];
  readonly holes: readonly Hole[];
  /** How many arguments the holes take. */
  readonly arity: number;
  /** The first argument that no hole shows: as many as they take, unless numbers leave one out (`{1}`). */
  readonly firstLeft: number;
  /** Whether its text and the values together may make a secret of what none of them is alone. */
  readonly suspicious: boolean;
  /** Whether no two holes have the same name in JSON lines. */
  readonly distinct: boolean;
  /** Whether one of the holes takes the trace's id, so that the active span isn't asked. */
  readonly tracesItself: boolean;
}

const TOKEN = /\{\{|\}\}|\{([@$]?)([A-Za-z0-9_]+)(?:,(-?\d{1,3}))?(?::([^{}]*))?\}/g;
const MAX_NAME = 200;

/** Parses a message template. What looks like a hole but isn't one is text; nothing throws. */
export function parseTemplate(text: string): MessageTemplate {
  const parts: (string | Hole)[] = [];
  const tokens: Range[] = [];
  let literal = '';
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [token, operator = '', name, width, format] = match;
    literal += text.slice(end, match.index);
    end = match.index + token.length;
    if (name === undefined || name.length > MAX_NAME) {
      literal += name === undefined ? token[0] : token;
      continue;
    }
    if (literal !== '') parts.push(literal);
    literal = '';
    const hole = {
      name,
      field: fieldName(name),
      key: fieldKey(name),
      operator,
      width: Number(width ?? 0),
      format: parseFormat(format),
      token,
    };
    parts.push({ ...hole, index: tokens.length, secret: false });
    tokens.push({ start: match.index, end });
  }
  literal += text.slice(end);
  if (literal !== '') parts.push(literal);
  return finish(redactTemplate(text, tokens), parts);
}

function finish(text: string, parsed: readonly (string | Hole)[]): MessageTemplate {
  const secret = secretHoles(parsed);
  // Holes that are all numbers say themselves which argument they show.
  const numbered = parsed.every((part) => typeof part === 'string' || /^\d{1,2}$/.test(part.name));
  const parts = parsed.map((part, i) => {
    if (typeof part === 'string') return part;
    return { ...part, index: numbered ? Number(part.name) : part.index, secret: secret.has(i) };
  });
  const holes = parts.filter((part) => typeof part !== 'string');
  const shown = new Set(holes.map(({ index }) => index));
  let firstLeft = 0;
  while (shown.has(firstLeft)) firstLeft++;
  return {
    text,
    json: `,"template":${jsonString(text)}`,
    parts,
    distinct: new Set(holes.map(({ field }) => field)).size === holes.length,
    tracesItself: holes.some(({ name }) => name === 'trace_id'),
    holes,
    arity: holes.reduce((most, { index }) => Math.max(most, index + 1), 0),
    firstLeft,
    suspicious: parts.some((part) => typeof part === 'string' && (isSuspicious(part) || /[:=@]/.test(part))),
  };
}

/**
 * The message: the template with its values in place. A hole without a value stays as it was written.
 *
 * @param values as {@link import('../log-value.js').ValueCopier} made them, one for each hole; undefined: it has none
 * @param args the arguments as they were given, for the formats of numbers
 */
export function renderTemplate(
  { parts }: MessageTemplate,
  values: readonly unknown[],
  args: readonly unknown[],
): string {
  let message = '';
  let next = 0;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string | Hole;
    message += typeof part === 'string' ? part : showHole(part, values[next++], args);
  }
  return message;
}

/** Where in the message the values of the holes stand. */
export function holeRanges({ parts }: MessageTemplate, values: readonly unknown[], args: readonly unknown[]): Range[] {
  const ranges: Range[] = [];
  let end = 0;
  for (const part of parts) {
    const start = end;
    end += typeof part === 'string' ? part.length : showHole(part, values[ranges.length], args).length;
    if (typeof part !== 'string') ranges.push({ start, end });
  }
  return ranges;
}

function showHole({ index, width, format, token }: Hole, value: unknown, args: readonly unknown[]): string {
  if (value === undefined) return token;
  const argument = args[index];
  const formatted = format !== undefined && value !== REDACTED && isNumber(argument);
  const shown = formatted ? format(argument) : show(value);
  if (width === 0) return shown;
  return width > 0 ? shown.padStart(width) : shown.padEnd(-width);
}

const isNumber = (value: unknown): value is number | bigint => typeof value === 'bigint' || Number.isFinite(value);

/** A value that was made plain, as text. */
export function show(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}
