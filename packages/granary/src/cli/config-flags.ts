import { CONFIG_KEYS } from '../config/keys.js';
import type { Flag } from '../config/source.js';

/**
 * Takes the flags that set configuration keys, `--section.name value` or `--section.name=value`, out of a command line.
 * Only these have a dot in their name or are keys without one, so that a misspelt key can be reported together with every
 * other mistake.
 */
export function takeConfigFlags(words: readonly string[]): { readonly flags: Flag[]; readonly rest: string[] } {
  const flags: Flag[] = [];
  const rest: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === '--') {
      rest.push(...words.slice(i));
      break;
    }
    const [, name, value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === undefined || !(name.includes('.') || CONFIG_KEYS.has(name))) {
      rest.push(word);
      continue;
    }
    let text = value;
    const next = words[i + 1];
    if (text === undefined && next !== undefined && isValueOf(name, next)) {
      text = next;
      i++;
    }
    flags.push({ name, text });
  }
  return { flags, rest };
}

/** What somebody writes who means a yes or a no, allowed or not. */
const YES_OR_NO = /^(?:true|false|yes|no|on|off|y|n|[01])$/i;

function isValueOf(name: string, next: string): boolean {
  // A switch stands alone, so what follows it is its value only if it looks like one: it may be the command, too.
  if (CONFIG_KEYS.get(name)?.shape === 'boolean') return YES_OR_NO.test(next);
  return !next.startsWith('--');
}
