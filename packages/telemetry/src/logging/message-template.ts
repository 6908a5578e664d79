/** A place in a template for a value: `{Name}`, `{@Name}`, `{Name:F1}`, `{Name,8:F1}`. */
interface Hole {
  readonly name: string;
  /** Written `{@Name}`: the value's structure is kept, whatever its `toString` says. */
  readonly structured: boolean;
  /** Least width: positive pads on the left, negative on the right. 0: as it comes. */
  readonly width: number;
  /** How a number is written; undefined: as it comes. */
  readonly format: NumberFormat | undefined;
}

/** `F2` fixed, `N1` with thousands separated, `P1` per cent, `D4` padded with zeros, `X` hexadecimal. */
interface NumberFormat {
  readonly letter: string;
  readonly digits: number | undefined;
}

export interface MessageTemplate {
  readonly text: string;
  readonly parts: readonly (string | Hole)[];
  readonly holes: readonly Hole[];
}

/** Templates are constants of the program; a program that builds them at run time must not fill the memory. */
const MAX_CACHED = 1000;

const TOKEN = /\{\{|\}\}|\{([@$]?)([A-Za-z0-9_]+)(?:,(-?\d{1,3}))?(?::([^{}]*))?\}/g;

/** Parses a message template. What looks like a hole but isn't one is text; nothing throws. */
export function parseTemplate(text: string): MessageTemplate {
  const parts: (string | Hole)[] = [];
  let literal = '';
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [token, operator, name, width, format] = match;
    literal += text.slice(end, match.index);
    end = match.index + token.length;
    if (name === undefined) {
      literal += token[0];
      continue;
    }
    if (literal !== '') parts.push(literal);
    literal = '';
    parts.push({ name, structured: operator === '@', width: Number(width ?? 0), format: parseFormat(format) });
  }
  literal += text.slice(end);
  if (literal !== '') parts.push(literal);
  return { text, parts, holes: parts.filter((part) => typeof part !== 'string') };
}

/** A format that is not known is passed over: a record is worth more than its looks. */
function parseFormat(format: string | undefined): NumberFormat | undefined {
  const [, letter, digits] = /^([FNPDX])(\d{0,2})$/i.exec(format ?? '') ?? [];
  return letter === undefined
    ? undefined
    : { letter: letter.toUpperCase(), digits: digits ? Number(digits) : undefined };
}

/** Parses each template once, as long as there are not unreasonably many. */
export class TemplateCache {
  readonly #templates = new Map<string, MessageTemplate>();

  get(text: string): MessageTemplate {
    const known = this.#templates.get(text);
    if (known !== undefined) return known;
    const template = parseTemplate(text);
    if (this.#templates.size < MAX_CACHED) this.#templates.set(text, template);
    return template;
  }
}

/**
 * The message: the template with its values in place. A hole without a value stays as it was written.
 *
 * @param values as {@link import('./log-value.js').logValue} made them, one for each hole
 */
export function renderTemplate(template: MessageTemplate, values: readonly unknown[]): string {
  let message = '';
  let next = 0;
  for (const part of template.parts) {
    if (typeof part === 'string') {
      message += part;
      continue;
    }
    const text = next < values.length ? formatValue(values[next], part.format) : `{${part.name}}`;
    next++;
    message += part.width >= 0 ? text.padStart(part.width) : text.padEnd(-part.width);
  }
  return message;
}

function formatValue(value: unknown, format: NumberFormat | undefined): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return format === undefined ? String(value) : formatNumber(value, format);
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

function formatNumber(value: number, { letter, digits }: NumberFormat): string {
  switch (letter) {
    case 'F':
      return value.toFixed(digits ?? 2);
    case 'N':
      return withThousands(value.toFixed(digits ?? 2));
    case 'P':
      return `${(value * 100).toFixed(digits ?? 2)}%`;
    case 'D':
      return `${value < 0 ? '-' : ''}${Math.abs(Math.trunc(value))
        .toString()
        .padStart(digits ?? 0, '0')}`;
    default:
      return Math.trunc(value)
        .toString(16)
        .toUpperCase()
        .padStart(digits ?? 0, '0');
  }
}

function withThousands(fixed: string): string {
  const [whole = '', fraction] = fixed.split('.');
  const separated = whole.replace(/\d(?=(?:\d{3})+$)/g, '$&,');
  return fraction === undefined ? separated : `${separated}.${fraction}`;
}
