import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { runCommand } from '../command.js';
import { ignoredBy, parseDockerfile, type Stage } from './dockerfile.js';

/** What a container gets from its image. */
export interface BuiltImage {
  /** Folder that is the container's root. */
  readonly root: string;
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly command: readonly string[];
}

export class StepFailedError extends Error {}

/**
 * Does what a Dockerfile says in folders instead of images: each stage has one, commands run in it with this machine's
 * node and npm. Users are not made, since that would be on this machine.
 *
 * @param repository where the files come from: those that git knows and `.dockerignore` lets through
 * @param folder an empty one, for the stages
 * @param npm settings for npm, by variable
 */
export async function buildImage(
  dockerfile: string,
  repository: string,
  folder: string,
  npm: Readonly<Record<string, string>>,
): Promise<BuiltImage> {
  const stages = parseDockerfile(readFileSync(dockerfile, 'utf8'));
  const context = filesOf(repository);
  const rootOf = (name: string) => join(folder, name);
  for (const [i, stage] of stages.entries()) await build(stage, rootOf(stage.name ?? String(i)));
  const last = stages.at(-1) as Stage;
  return {
    root: rootOf(last.name ?? String(stages.length - 1)),
    workingDirectory: textOf(last, 'WORKDIR'),
    environment: Object.fromEntries([...textOf(last, 'ENV').matchAll(/(\w+)=(\S+)/g)].map(([, k, v]) => [k, v])),
    command: [...JSON.parse(textOf(last, 'ENTRYPOINT')), ...JSON.parse(textOf(last, 'CMD'))],
  };

  async function build(stage: Stage, root: string): Promise<void> {
    let workingDirectory = '/';
    const inStage = (path: string) => join(root, resolve(workingDirectory, path));
    for (const { name, text } of stage.instructions) {
      if (name === 'WORKDIR') {
        workingDirectory = text;
        mkdirSync(inStage('.'), { recursive: true });
      } else if (name === 'COPY') {
        copy(text, inStage);
      } else if (name === 'RUN' && !text.includes('useradd')) {
        const { exitCode, output } = await runCommand('sh', ['-c', text], { cwd: inStage('.'), env: npm });
        if (exitCode !== 0) throw new StepFailedError(`RUN ${text}\n${output}`);
      }
    }
  }

  function copy(text: string, inStage: (path: string) => string): void {
    const words = text.split(/\s+/);
    const from = words[0]?.startsWith('--from=') ? words.shift()?.slice('--from='.length) : undefined;
    const target = words.pop() ?? '';
    for (const source of words) {
      // A folder's content is copied, a file goes under its name into a folder and else is the target.
      if (from !== undefined) {
        cpSync(join(rootOf(from), source), inStage(target), { recursive: true, verbatimSymlinks: true });
        continue;
      }
      const files = context.filter((path) => path === source || path.startsWith(`${source}/`));
      if (files.length === 0) throw new StepFailedError(`COPY ${text}: nothing of ${source} is sent to the build`);
      for (const path of files) {
        const rest = path === source ? source.slice(source.lastIndexOf('/') + 1) : path.slice(source.length + 1);
        const copied = inStage(target.endsWith('/') || path !== source ? join(target, rest) : target);
        mkdirSync(dirname(copied), { recursive: true });
        cpSync(join(repository, path), copied);
      }
    }
  }
}

function filesOf(repository: string): string[] {
  const { stdout } = spawnSync('git', ['ls-files', '-z'], { cwd: repository, encoding: 'utf8', maxBuffer: 1 << 26 });
  const ignored = ignoredBy(readFileSync(join(repository, '.dockerignore'), 'utf8'));
  return stdout.split('\0').filter((path) => path !== '' && !ignored(path));
}

function textOf({ instructions }: Stage, name: string): string {
  return instructions.find((instruction) => instruction.name === name)?.text ?? '';
}
