import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isInstalled, runCommand } from './command.js';
import { type RunningServer, startServer } from './server.js';

const MOON = fileURLToPath(new URL('../node_modules/@moonrepo/core-linux-x64-gnu/moon', import.meta.url));

const missing = [
  ...(existsSync(MOON) ? [] : [`there is no moon binary for ${process.platform}-${process.arch}`]),
  ...((await isInstalled('git')) ? [] : ['git is not installed']),
];
if (missing.length > 0) console.log(`Skipped: real moon, because ${missing.join(' and ')}.`);

describe.skipIf(missing.length > 0).each(['http', 'grpc'] as const)('moon over %s', (api) => {
  let scratch: string;
  let server: RunningServer;

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'granary-moon-'));
    server = await startServer(join(scratch, 'store'));
  });

  afterAll(async () => {
    await server?.stop();
    if (scratch) rmSync(scratch, { recursive: true, force: true });
  });

  it('takes the outputs of a task from the cache in a workspace that never ran it', async () => {
    const first = await workspace('first');
    const cold = await runTask(first);
    expect(cold.output).toMatch(/1 completed/);
    expect(cold.output).not.toMatch(/cached/);

    const second = await workspace('second');
    const warm = await runTask(second);
    expect(warm.output).toMatch(/cached from remote/);
    for (const path of ['out.txt', 'made/one.txt', 'made/empty.txt']) {
      expect(readFileSync(join(second, 'app', path))).toEqual(readFileSync(join(first, 'app', path)));
    }
  });

  async function workspace(name: string): Promise<string> {
    const directory = join(scratch, name);
    mkdirSync(join(directory, '.moon'), { recursive: true });
    mkdirSync(join(directory, 'app'));
    const port = api === 'http' ? server.httpPort : server.grpcPort;
    writeFileSync(
      join(directory, '.moon/workspace.yml'),
      `projects: ['app']
telemetry: false
remote:
  api: ${api}
  host: '${api}://127.0.0.1:${port}'
`,
    );
    writeFileSync(
      join(directory, 'app/moon.yml'),
      `tasks:
  make:
    command: 'sh make.sh'
    toolchains: ['system']
    inputs: ['make.sh']
    outputs: ['out.txt', 'made']
    options:
      runInCI: true
`,
    );
    writeFileSync(
      join(directory, 'app/make.sh'),
      'mkdir -p made; echo built > out.txt; echo one > made/one.txt; : > made/empty.txt\n',
    );
    await git(directory, 'init', '--quiet', '--initial-branch=main');
    await git(directory, 'add', '.');
    await git(directory, '-c', 'user.name=e2e', '-c', 'user.email=e2e@example.invalid', 'commit', '-qm', 'A workspace');
    return directory;
  }

  async function git(cwd: string, ...args: string[]): Promise<void> {
    const { exitCode, output } = await runCommand('git', args, { cwd });
    if (exitCode !== 0) throw new Error(output);
  }

  function runTask(cwd: string) {
    return runCommand(MOON, ['run', 'app:make', '--color'], { cwd, env: { HOME: scratch, NO_COLOR: '1', CI: '' } });
  }
});
