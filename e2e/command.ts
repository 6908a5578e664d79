import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Ended {
  readonly exitCode: number | null;
  /** What it printed, to either stream. */
  readonly output: string;
}

/** Runs a command to its end. It reads `input`, or nothing. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>>; readonly input?: string },
): Promise<Ended> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: 'pipe',
  });
  // A command that ends before it has read everything is no failure of ours.
  child.stdin.on('error', () => {}).end(options.input ?? '');
  let output = '';
  const add = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout.on('data', add);
  child.stderr.on('data', add);
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, output };
}

/** Whether a command is installed. */
export async function isInstalled(command: string): Promise<boolean> {
  try {
    return (await runCommand(command, ['--version'], { cwd: '.' })).exitCode === 0;
  } catch {
    return false;
  }
}
