/** The parts of a profile that name functions, as `pprof-format` has them: texts are kept once, in a table. */
export interface NamedFunctions {
  readonly function: readonly {
    readonly id: number | bigint;
    name: number | bigint;
    readonly filename: number | bigint;
  }[];
  readonly location: readonly {
    readonly line: readonly { readonly functionId: number | bigint; readonly line: number | bigint }[];
  }[];
  readonly stringTable: { readonly strings: readonly string[]; dedup(text: string): number };
}

/**
 * Puts behind each function's name where it begins: `get disk/disk-blob-store.js:120`. V8 knows `get` of a class only
 * as `get`, and tools add up whatever has one name.
 */
export function nameFunctionsByPlace(profile: NamedFunctions): void {
  const { strings } = profile.stringTable;
  const lines = new Map<number | bigint, number | bigint>();
  for (const location of profile.location) {
    for (const { functionId, line } of location.line) if (!lines.has(functionId)) lines.set(functionId, line);
  }
  for (const named of profile.function) {
    const file = strings[Number(named.filename)];
    const name = strings[Number(named.name)];
    if (!file || name === undefined) continue;
    const line = Number(lines.get(named.id) ?? 0);
    // The place says better where a function without a name is than the name that stands for it.
    const plain = name.startsWith('(anonymous') ? '(anonymous)' : name;
    named.name = profile.stringTable.dedup(`${plain} ${shortPath(file)}${line > 0 ? `:${line}` : ''}`);
  }
}

/** The last folder and the file's name, or all that there is of Node's own. */
function shortPath(path: string): string {
  return path.startsWith('node:') ? path : path.split(/[\\/]/).slice(-2).join('/');
}
