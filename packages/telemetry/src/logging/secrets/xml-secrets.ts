import type { Range } from './redaction.js';

const NAMED =
  '[\\w.:-]{0,40}(?:passw(?:or)?ds?|passphrase|secrets?|token|credentials?|(?:api|access|private|secret|account)[-_]?key)';

/** `<apikey>…`, and in a NuGet.Config `<add key="ClearTextPassword" value="…`: with the value at the end. */
const PATTERNS = [
  new RegExp(`<${NAMED}(?:\\s[^<>]{0,200})?(?<!/)>([^<>]+)`, 'gi'),
  new RegExp(`["']${NAMED}["']\\s{1,4}value\\s{0,4}=\\s{0,4}(?:"([^"]+)|'([^']+))`, 'gi'),
];

/** Finds values of XML elements, and of attributes beside a name, that are named like secrets. */
export function findXmlSecrets(text: string, found: Range[]): void {
  for (const pattern of PATTERNS) {
    for (const { 0: match, 1: value, 2: other, index } of text.matchAll(pattern)) {
      const end = index + match.length;
      found.push({ start: end - (value ?? other ?? '').length, end });
    }
  }
}
