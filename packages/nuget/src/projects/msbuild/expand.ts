import { NuGetError } from '../../errors.js';

/** What texts of a project file refer to. */
export interface ExpansionScope {
  /** Value of a property, empty for one that nobody set; undefined when it can't be known. */
  property(name: string): string | undefined;
  /** What a function of MSBuild returns; undefined for one that isn't known. */
  call(name: string, args: readonly string[]): string | undefined;
}

const MAX_LENGTH = 64 * 1024;
const MAX_DEPTH = 16;
const NAME = /^[A-Za-z_][\w-]*$/;
const CALL = /^\[MSBuild\]::(\w+)\(([\s\S]*)\)$/i;

/**
 * A text with its properties and functions put in, `$(Name)` and `$([MSBuild]::Name(…))`; undefined when it has something
 * that can't be known here: items, metadata, other functions.
 *
 * @throws NuGetError `LIMIT` for more than 64 Ki characters
 */
export function expand(text: string, scope: ExpansionScope, depth = 0): string | undefined {
  if (depth > MAX_DEPTH || /[@%]\(/.test(text)) return undefined;
  let expanded = '';
  let at = 0;
  for (let start = text.indexOf('$(', at); start >= 0; start = text.indexOf('$(', at)) {
    const end = closingParenthesis(text, start + 2);
    if (end === undefined) return undefined;
    const value = evaluate(text.slice(start + 2, end).trim(), scope, depth);
    if (value === undefined) return undefined;
    expanded += text.slice(at, start) + value;
    if (expanded.length > MAX_LENGTH) throw new NuGetError('LIMIT', 'a property is longer than it may be');
    at = end + 1;
  }
  return withoutEscapes(expanded + text.slice(at));
}

function evaluate(body: string, scope: ExpansionScope, depth: number): string | undefined {
  if (NAME.test(body)) return scope.property(body);
  const [, name, list] = CALL.exec(body) ?? [];
  if (name === undefined || list === undefined) return undefined;
  const args: string[] = [];
  for (const arg of splitArguments(list)) {
    const value = expand(arg.trim().replace(/^(['"`])([\s\S]*)\1$/, '$2'), scope, depth + 1);
    if (value === undefined) return undefined;
    args.push(value);
  }
  return scope.call(name, args);
}

/** Where the parenthesis ends that is open before `from`; undefined when it doesn't. */
export function closingParenthesis(text: string, from: number): number | undefined {
  let open = 1;
  let quote = '';
  for (let at = from; at < text.length; at++) {
    const character = text.charAt(at);
    if (quote !== '') {
      if (character === quote) quote = '';
    } else if (character === "'" || character === '"' || character === '`') quote = character;
    else if (character === '(') open++;
    else if (character === ')' && --open === 0) return at;
  }
  return undefined;
}

function splitArguments(list: string): string[] {
  const args: string[] = [];
  let start = 0;
  let open = 0;
  let quote = '';
  for (let at = 0; at < list.length; at++) {
    const character = list.charAt(at);
    if (quote !== '') {
      if (character === quote) quote = '';
    } else if (character === "'" || character === '"' || character === '`') quote = character;
    else if (character === '(') open++;
    else if (character === ')') open--;
    else if (character === ',' && open === 0) {
      args.push(list.slice(start, at));
      start = at + 1;
    }
  }
  return [...args, list.slice(start)];
}

/** `%40` stands for `@`. */
function withoutEscapes(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
