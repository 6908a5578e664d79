/**
 * What JSON lines say themselves; a property of such a name gets an underscore behind it. So does `__proto__`, which does
 * harm to those who read it carelessly.
 */
const FIELDS = new Set(['level', 'time', 'name', 'msg', 'template', 'err', 'extra', '__proto__']);

/** A property's name in JSON lines. */
export function fieldName(name: string): string {
  return FIELDS.has(name) ? `${name}_` : name;
}

/** What stands before a property's value. */
export function fieldKey(name: string): string {
  return `,${jsonString(fieldName(name))}:`;
}

/** JSON.stringify is faster from here on. */
const LONG = 100;
const QUOTE = 34;
const BACKSLASH = 92;

export function jsonString(text: string): string {
  if (text.length > LONG) return JSON.stringify(text);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 32 || code === QUOTE || code === BACKSLASH || code >= 0xd800) return JSON.stringify(text);
  }
  return `"${text}"`;
}

/** @param value plain, finite and without cycles */
export function jsonValue(value: unknown): string {
  if (typeof value === 'string') return jsonString(value);
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}
