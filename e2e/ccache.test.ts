import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isInstalled, runCommand } from './command.js';
import { type RunningServer, startServer } from './server.js';

const missing = [];
for (const command of ['ccache', 'gcc']) if (!(await isInstalled(command))) missing.push(command);
if (missing.length > 0) console.log(`Skipped: real ccache, because ${missing.join(' and ')} is not installed.`);

describe.skipIf(missing.length > 0)("ccache with Bazel's layout", () => {
  let scratch: string;
  let server: RunningServer;

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'granary-ccache-'));
    writeFileSync(join(scratch, 'main.c'), 'int main(void) { return 0; }\n');
    writeFileSync(join(scratch, 'large.c'), 'char large[6 << 20] = {1};\n');
    server = await startServer(join(scratch, 'store'));
  });

  afterAll(async () => {
    await server?.stop();
    if (scratch) rmSync(scratch, { recursive: true, force: true });
  });

  it.each(['main', 'large'])(
    'takes the object of %s.c from the remote storage when its own is empty',
    async (source) => {
      const cold = await compile(source, 'first');
      expect(cold['remote_storage_hit']).toBe(0);
      expect(cold['remote_storage_error']).toBe(0);

      const warm = await compile(source, 'second');
      expect(warm['remote_storage_hit']).toBeGreaterThan(0);
      expect(warm['remote_storage_error']).toBe(0);
      expect(warm['direct_cache_hit']).toBe(1);
    },
  );

  /** Compiles with a local cache of that name and answers with ccache's own counts. */
  async function compile(source: string, name: string): Promise<Record<string, number>> {
    const directory = join(scratch, `${source}-${name}`);
    mkdirSync(directory);
    const env = {
      CCACHE_DIR: directory,
      CCACHE_NOCOMPRESS: '1',
      CCACHE_REMOTE_STORAGE: `http://127.0.0.1:${server.httpPort}/some/prefix|layout=bazel`,
    };
    const { exitCode, output } = await runCommand('ccache', ['gcc', '-c', `${source}.c`, '-o', `${name}.o`], {
      cwd: scratch,
      env,
    });
    expect(output).toBe('');
    expect(exitCode).toBe(0);
    const { output: stats } = await runCommand('ccache', ['--print-stats'], { cwd: scratch, env });
    return Object.fromEntries(
      stats
        .trim()
        .split('\n')
        .map((line) => line.split('\t'))
        .map(([key, value]) => [key, Number(value)]),
    );
  }
});
