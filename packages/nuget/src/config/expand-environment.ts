export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Puts the values of environment variables for `%NAME%`, on every platform. A name that isn't set stays as it is written,
 * and its second `%` may begin the next one.
 */
export function expandEnvironment(text: string, environment: Environment): string {
  let expanded = '';
  let from = 0;
  for (;;) {
    const start = text.indexOf('%', from);
    const end = start < 0 ? -1 : text.indexOf('%', start + 1);
    if (end < 0) return expanded + text.slice(from);
    const name = text.slice(start + 1, end);
    const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
    expanded += text.slice(from, start) + (value ?? text.slice(start, end));
    from = value === undefined ? end : end + 1;
  }
}
