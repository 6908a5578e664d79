/** A text as an error shows it: short, and with what doesn't print spelled out. */
export function quoted(text: string): string {
  const shown = String(text);
  return JSON.stringify(shown.length > 100 ? `${shown.slice(0, 100)}…` : shown);
}
