import type { Range } from './redaction.js';

/**
 * From here on, so that a text without one is passed over once and not once for each word. URLs of http are such ones with
 * any number of slashes, of either kind; who forgets the colon, or mistypes it, sees what was typed in an error.
 */
const AUTHORITY = /:\/\/|%3a%2f%2f|(?<![a-z\d])https?(?::[\\/]*|;?\/\/)/gi;
const AFTER_AUTHORITY = /[/?#]|%2f|%3f|%23/gi;
const GAP = /[\s"<>`]/g;
const PORT_FIRST = /\d{0,5}(?:[/?#]|%2f|$)/iy;

/**
 * Finds users and passwords of URLs. A password with a slash in it makes a wrong URL, but people write such ones, and
 * the error that says so shows it; a host with a port and a path with `@` (`http://host:80/@scope/name`) is none.
 */
export function findUserinfo(text: string, found: Range[]): void {
  AUTHORITY.lastIndex = 0;
  let runEnd = 0;
  let lastAt = -1;
  for (let match = AUTHORITY.exec(text); match !== null; match = AUTHORITY.exec(text)) {
    const start = AUTHORITY.lastIndex;
    if (start > runEnd) {
      runEnd = indexOf(GAP, text, start);
      lastAt = lastIndexOfAt(text, start, runEnd);
    }
    if (lastAt < start) {
      AUTHORITY.lastIndex = Math.max(start, runEnd);
      continue;
    }
    const end = userinfoEnd(text, start, Math.min(indexOf(AFTER_AUTHORITY, text, start), runEnd), lastAt);
    if (end <= start) continue;
    found.push({ start, end });
    AUTHORITY.lastIndex = end;
  }
}

function userinfoEnd(text: string, start: number, authorityEnd: number, lastAt: number): number {
  const within = lastIndexOfAt(text, start, authorityEnd);
  if (within >= 0) return within;
  const authority = text.slice(start, authorityEnd);
  const colon = authority.search(/:|%3a/i);
  if (colon < 0 || authority.startsWith('[')) return -1;
  PORT_FIRST.lastIndex = start + colon + (authority[colon] === ':' ? 1 : 3);
  return PORT_FIRST.test(text) ? -1 : lastAt;
}

function indexOf(pattern: RegExp, text: string, start: number): number {
  pattern.lastIndex = start;
  return pattern.exec(text)?.index ?? text.length;
}

/** Where the last `@`, or `%40`, of a part of the text is; -1 when it has none. */
function lastIndexOfAt(text: string, start: number, end: number): number {
  const part = text.slice(start, end);
  const at = Math.max(part.lastIndexOf('@'), part.lastIndexOf('%40'));
  return at < 0 ? -1 : start + at;
}
