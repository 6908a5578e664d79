import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const STDIO = { stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'] };
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Only where `npm test` has installed: else the command would install, below the feet of the tests that run. */
const reason = existsSync(join(ROOT, 'node_modules/.granary-installed.json')) ? undefined : 'it is not run by npm test';
if (reason) console.log(`Skipped: npm start, because ${reason}.`);

describe.skipIf(reason)('npm start', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'granary-start-'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const start = (...flags: string[]) => spawned((args) => spawn(process.execPath, args, STDIO), ...flags);

  const spawned = (run: (args: string[]) => ChildProcessByStdio<null, Readable, Readable>, ...flags: string[]) => {
    const listen = ['grpc', 'http', 'admin'].flatMap((name) => [`--listen.${name}`, '127.0.0.1:0']);
    const args = [join(ROOT, 'scripts/start.mjs'), '--storage.dir', join(directory, 'store'), ...listen, ...flags];
    const child = run(args);
    const said = { out: '', err: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      said.out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said.err += chunk.toString();
    });
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    const ready = (async () => {
      while (!/--remote_cache=http:\S+\n/.test(said.out)) {
        await Promise.race([once(child.stdout, 'data'), ended]);
        if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${said.err}`);
      }
    })();
    return { child, said, ended, ready };
  };

  it('serves where it says, and ends cleanly when interrupted', async () => {
    const server = start();
    await server.ready;
    expect(server.said.out).toContain(join(directory, 'store'));
    expect(server.said.out).toMatch(/--remote_cache=grpc:\/\/127\.0\.0\.1:[1-9]\d*\n/);
    const url = server.said.out.match(/--remote_cache=(http:\S+)/)?.[1];
    expect((await fetch(`${url}/cas/${'0'.repeat(64)}`)).status).toBe(404);
    await interrupted(server);
  });

  it('says what is wrong with the flags that are passed on, and with a folder that is in use', async () => {
    const wrong = start('--storage.max_sise', '1GiB');
    wrong.ready.catch(() => {});
    const [code] = await wrong.ended;
    expect(code).toBe(2);
    const first = start();
    await first.ready;
    const second = start();
    second.ready.catch(() => {});
    // It has ended before all is read that it said.
    const closed = once(second.child, 'close');
    expect((await second.ended)[0]).toBe(1);
    await closed;
    expect(second.said.err).toContain('in use');
    await interrupted(first);
  });

  it.skipIf(process.platform === 'win32')('takes a signal to all processes of npm for one', async () => {
    // npm's shell, which doesn't turn into the server and dies of the signal.
    const env = { ...process.env, npm_lifecycle_event: 'start' };
    const script = '"$@"; true';
    const server = spawned((args) => {
      return spawn('/bin/sh', ['-c', script, 'sh', process.execPath, ...args], { ...STDIO, env, detached: true });
    });
    await server.ready;
    const body = Buffer.from('in two parts');
    const hash = createHash('sha256').update(body).digest('hex');
    const { port } = new URL(server.said.out.match(/--remote_cache=(http:\S+)/)?.[1] as string);
    const headers = { 'content-length': body.length, expect: '100-continue' };
    const upload = request({ port, path: `/cas/${hash}`, method: 'PUT', headers });
    const answer = once(upload, 'response');
    upload.flushHeaders();
    await once(upload, 'continue');
    process.kill(-(server.child.pid as number), 'SIGTERM');
    await server.ended;
    // As long as the server takes to notice that its shell is gone, and longer: that was to end the upload.
    await setTimeout(600);
    upload.end(body);
    const [{ statusCode }] = await answer;
    expect(statusCode).toBe(200);
    await once(server.child, 'close');
    expect(server.said.err).not.toContain('ending at once');
  });

  async function interrupted({ child, ready, ended }: ReturnType<typeof start>): Promise<void> {
    await ready;
    child.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
  }
});
