/** One line of a Dockerfile, with the lines that continue it. */
export interface Instruction {
  readonly name: string;
  /** What stands behind the name, build arguments with their defaults put in. */
  readonly text: string;
}

/** What a stage starts from, and what it does. */
export interface Stage {
  readonly base: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

/** Reads a Dockerfile as far as ours goes: no here-documents, no escapes but line continuations. */
export function parseDockerfile(text: string): readonly Stage[] {
  const stages: { base: string; name: string | undefined; instructions: Instruction[] }[] = [];
  const buildArguments = new Map<string, string>();
  for (const line of logicalLines(text)) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/s.exec(line) ?? [];
    if (name === '') throw new Error(`not an instruction: ${line}`);
    if (name === 'ARG') {
      const [argument = '', value = ''] = rest.split('=');
      buildArguments.set(argument, value);
      continue;
    }
    const filled = rest.replace(/\$\{(\w+)\}/g, (found, argument) => buildArguments.get(argument) ?? found);
    if (name === 'FROM') {
      const [, base = '', stage] = /^(\S+)(?:\s+AS\s+(\S+))?$/.exec(filled) ?? [];
      stages.push({ base, name: stage, instructions: [] });
      continue;
    }
    const current = stages.at(-1);
    if (current === undefined) throw new Error(`before the first FROM: ${line}`);
    current.instructions.push({ name, text: filled });
  }
  return stages;
}

/** Whether a file of the repository is sent to the build. The last pattern that matches a path or a folder of it wins. */
export function ignoredBy(dockerignore: string): (path: string) => boolean {
  const patterns = dockerignore
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => ({ negated: line.startsWith('!'), matches: globOf(line.replace(/^!/, '')) }));
  return (path) => {
    let ignored = false;
    for (const { negated, matches } of patterns) if (matches.test(path)) ignored = !negated;
    return ignored;
  };
}

function globOf(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*\*\/|\*\*|\*/g, (stars) => (stars === '*' ? '[^/]*' : stars === '**' ? '.*' : '(?:.*/)?'));
  return new RegExp(`^${source}(?:/.*)?$`);
}

function logicalLines(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('#'))
    .join('\n')
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
}
