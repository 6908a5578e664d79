import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { buildPackage, startFeedServer } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/test-server.js';

const MAIN = fileURLToPath(new URL('../../../dist/main.js', import.meta.url));

let folder: string;
let child: ChildProcess | undefined;
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(async () => {
  child?.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

function start(words: readonly string[], environment: Record<string, string> = {}) {
  const started = spawn(process.execPath, [MAIN, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HOME: folder, NUGET_HTTP_CACHE_PATH: join(folder, 'http'), ...environment },
  });
  child = started;
  const ended = once(started, 'close') as Promise<[code: number | null, signal: string | null]>;
  return { started, out: text(started.stdout), err: text(started.stderr), ended };
}

/** The modules of this workspace that a run has loaded. */
async function modulesLoadedBy(words: readonly string[], whileItRuns?: (process: ChildProcess) => void) {
  const coverage = join(folder, 'coverage');
  const { started, ended } = start(words, { NODE_V8_COVERAGE: coverage });
  whileItRuns?.(started);
  expect(await ended).toEqual([0, null]);
  const [file = ''] = await readdir(coverage);
  const { result } = JSON.parse(await readFile(join(coverage, file), 'utf8')) as { result: { url: string }[] };
  return result.map(({ url }) => url).filter((url) => url.includes('/packages/'));
}

const isNuGet = (url: string) =>
  /\/packages\/nuget(-proxy)?\/|\/packages\/http\/|\/cli\/nuget\/|nuget-service/.test(url);

describe.skipIf(!existsSync(MAIN))('the process', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('puts away what is not finished when it gets %s', async (signal) => {
    await using feed = await startFeedServer({ packages: [buildPackage({ id: 'A', version: '1.0.0' })] });
    feed.fault(/\.nupkg/, { kind: 'hang', afterBytes: 100 });
    const output = join(folder, 'out');
    const { started, out, err, ended } = start(['nuget', 'download', 'A@1.0.0', '--source', feed.v3Url, '-o', output]);
    await feed.waitForRequest(/\.nupkg/);
    started.kill(signal);
    expect(await ended).toEqual([1, null]);
    expect(await out).toBe('');
    expect(await err).toBe('granary: interrupted; what was not finished is put away\n');
    expect(await readdir(output)).toEqual([]);
    const cached = await readdir(join(folder, 'http'), { recursive: true });
    expect(cached.filter((name) => /nupkg/.test(name))).toEqual([]);
  });

  it('writes results to standard output and nothing else there', async () => {
    await using feed = await startFeedServer({ packages: [buildPackage({ id: 'A', version: '1.0.0' })] });
    const { out, err, ended } = start(['nuget', 'versions', 'A', '--json', '--source', feed.v2Url]);
    expect(await ended).toEqual([0, null]);
    expect(JSON.parse(await out)).toEqual({ id: 'A', versions: ['1.0.0'] });
    expect(await err).toBe('');
  });

  it.skipIf(!existsSync('/dev/full'))('fails when what it says does not fit on the disk', async () => {
    await using full = await open('/dev/full', 'w');
    const started = spawn(process.execPath, [MAIN, 'config', 'print'], { stdio: ['ignore', full.fd, 'pipe'] });
    child = started;
    const err = text(started.stderr as Readable);
    expect(await once(started, 'close')).toEqual([1, null]);
    expect(await err).toMatch(/^granary: can't write to standard output: ENOSPC: .*\n$/);
  });

  it('ends well when nobody reads on', async () => {
    const { started, out, err, ended } = start(['config', 'print']);
    out.catch(() => {});
    started.stdout.destroy();
    expect(await ended).toEqual([0, null]);
    expect(await err).toBe('');
  });

  it('loads nothing of NuGet, nor of an HTTP client, before somebody asks for it', async () => {
    const serving = await modulesLoadedBy(
      [
        'serve',
        '--storage.dir',
        join(folder, 'store'),
        ...['grpc', 'http', 'admin'].flatMap((name) => [`--listen.${name}`, '127.0.0.1:0']),
      ],
      (process) => {
        let said = '';
        process.stdout?.on('data', (chunk) => {
          said += String(chunk);
          if (said.includes('--remote_cache')) process.kill('SIGTERM');
        });
      },
    );
    expect(serving.length).toBeGreaterThan(50);
    expect(serving.filter(isNuGet)).toEqual([]);
  });

  it('loads a command of NuGet when it is called', async () => {
    const helping = await modulesLoadedBy(['nuget', '--help']);
    expect(helping.filter(isNuGet).map((url) => url.replace(/.*\//, ''))).toEqual(['nuget-commands.js']);
  });
});
