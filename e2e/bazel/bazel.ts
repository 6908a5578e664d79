import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MODULES = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const BINARY = join(MODULES, '@bazel/bazel-linux_x64/bazel-2.1.0-linux-x86_64');

const STARTUP = [
  // What the binary unpacks is the same for all, and stays for the next run.
  `--install_base=${join(MODULES, '.cache/granary/bazel-2.1.0')}`,
  // None of these servers lives long enough to be worth optimizing.
  ...['-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'].map((arg) => `--host_jvm_args=${arg}`),
  '--nosystem_rc',
  '--nohome_rc',
];

/** Why real Bazel can't run here; undefined when it can. */
export function whyNoBazel(): string | undefined {
  if (!existsSync(BINARY)) return `there is no Bazel binary for ${process.platform}-${process.arch}`;
  if (!['/usr/bin/gcc', '/usr/local/bin/gcc', '/usr/bin/cc'].some(existsSync)) return 'there is no C++ compiler';
  return undefined;
}

export interface Build {
  readonly exitCode: number | null;
  readonly output: string;
  /** Actions by where they ran, as in `11 processes: 9 remote cache hit, 2 linux-sandbox.` */
  readonly processes: Readonly<Record<string, number>>;
}

/** One Bazel server: a workspace, and an output root of its own. */
export class Bazel {
  readonly #workspace: string;
  readonly #startup: readonly string[];
  readonly #flags: readonly string[];

  constructor(workspace: string, outputRoot: string, flags: readonly string[]) {
    this.#workspace = workspace;
    this.#startup = [`--output_user_root=${outputRoot}`, ...STARTUP];
    this.#flags = ['--symlink_prefix=/', '--color=no', '--curses=no', '--noshow_progress', ...flags];
  }

  build(...flags: string[]): Promise<Build> {
    return this.#run('build', [...this.#flags, ...flags, '//...']);
  }

  test(...flags: string[]): Promise<Build> {
    return this.#run('test', [...this.#flags, ...flags, '//...']);
  }

  async clean(): Promise<void> {
    await this.#run('clean', []);
  }

  /** The folder that outputs are built into. */
  async outputs(): Promise<string> {
    const { output } = await this.#run('info', ['bazel-bin', ...this.#flags]);
    return output.trim().split('\n').at(-1) ?? '';
  }

  async shutdown(): Promise<void> {
    await this.#run('shutdown', []);
  }

  async #run(command: string, args: readonly string[]): Promise<Build> {
    const child = spawn(BINARY, [...this.#startup, command, ...args], {
      cwd: this.#workspace,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const add = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    const [exitCode] = (await once(child, 'close')) as [number | null];
    return { exitCode, output, processes: parseProcesses(output) };
  }
}

function parseProcesses(output: string): Record<string, number> {
  const line = output.match(/INFO: \d+ process(?:es)?(?:: (.*))?\.$/m)?.[1] ?? '';
  const parts = line.split(', ').filter(Boolean);
  return Object.fromEntries(
    parts.map((part) => {
      const [, count, kind] = part.match(/^(\d+) (.*)$/) ?? [];
      return [kind ?? part, Number(count)];
    }),
  );
}
