import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { runCommand } from '../command.js';
import { freePort } from '../server.js';
import { type BuiltImage, buildImage, StepFailedError } from './build-image.js';
import { ignoredBy, parseDockerfile, type Stage } from './dockerfile.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DOCKERFILE = join(ROOT, 'deploy/docker/Dockerfile');
const USER = 65532;

describe('the Dockerfile', () => {
  const stages = parseDockerfile(readFileSync(DOCKERFILE, 'utf8'));
  const last = stages.at(-1) as Stage;
  const textOf = (name: string) => last.instructions.filter((one) => one.name === name).map(({ text }) => text);

  it('starts from a named version that Granary supports', () => {
    for (const { base } of stages) expect(base).toMatch(/^node:(20|22|24)-bookworm-slim$/);
  });

  it('runs as a user with a fixed number, who owns the store alone', () => {
    expect(textOf('USER')).toEqual([`${USER}:${USER}`]);
    expect(textOf('RUN').join()).toContain(`install -d -o ${USER} -g ${USER} -m 0700 /var/lib/granary`);
    expect(textOf('RUN').join()).toContain('--home-dir /var/lib/granary');
    expect(textOf('VOLUME')).toEqual(['/var/lib/granary']);
    expect(last.instructions.findIndex(({ name }) => name === 'USER')).toBeGreaterThan(
      last.instructions.findLastIndex(({ name }) => name === 'RUN' || name === 'COPY'),
    );
  });

  it('gets its signals itself', () => {
    for (const name of ['ENTRYPOINT', 'CMD']) expect(() => JSON.parse(textOf(name)[0] ?? '')).not.toThrow();
    expect(textOf('STOPSIGNAL')).toEqual(['SIGTERM']);
  });

  it('installs as locked, and takes nothing from elsewhere', () => {
    const runs = stages.flatMap(({ instructions }) => instructions.filter(({ name }) => name === 'RUN'));
    for (const { text } of runs) expect(text).not.toMatch(/npm install|curl|wget|apt-get/);
    expect(stages.flatMap(({ instructions }) => instructions.filter(({ name }) => name === 'ADD'))).toEqual([]);
  });
});

describe('.dockerignore', () => {
  const ignored = ignoredBy(readFileSync(join(ROOT, '.dockerignore'), 'utf8'));

  it.each([
    'node_modules/x/index.js',
    'packages/granary/dist/main.js',
    'packages/granary/node_modules/a',
    '.git/config',
  ])('keeps %s out', (path) => expect(ignored(path)).toBe(true));

  it.each([
    '.npmrc',
    'packages/granary/src/cli/cli.test.ts',
    'docs/deploy.md',
    'bench/lib.mjs',
    '.env',
    'granary.yaml',
  ])('keeps %s out, which the image does not need', (path) => expect(ignored(path)).toBe(true));

  it.each(['package-lock.json', 'packages/granary/package.json', 'packages/granary/src/main.ts', 'e2e/package.json'])(
    'lets %s in',
    (path) => expect(ignored(path)).toBe(false),
  );
});

describe('the health check', () => {
  const script = join(ROOT, 'deploy/docker/healthcheck.mjs');
  const certificate = (name: string) =>
    readFileSync(join(ROOT, 'packages/granary/src/testing/certificates', name), 'utf8');
  const answering = (status: number) => (_: IncomingMessage, response: ServerResponse) =>
    void response.writeHead(status).end();
  const check = async (address: string) =>
    (await runCommand(process.execPath, [script], { cwd: '.', env: { GRANARY_LISTEN_ADMIN: address } })).exitCode;

  async function whileServing<T>(server: Server, use: (port: number) => Promise<T>): Promise<T> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      return await use((server.address() as AddressInfo).port);
    } finally {
      server.close();
      await once(server, 'close');
    }
  }

  it('passes by 200, on any address of the container', async () => {
    const passed = whileServing(createServer(answering(200)), async (port) => [
      await check(`0.0.0.0:${port}`),
      await check(`127.0.0.1:${port}`),
    ]);
    expect(await passed).toEqual([0, 0]);
  });

  it('passes over TLS, whoever signed the certificate', async () => {
    const tls = { cert: certificate('server.pem'), key: certificate('server.key') };
    const server = createTlsServer(tls, answering(200));
    expect(await whileServing(server, (port) => check(`0.0.0.0:${port}`))).toBe(0);
  });

  it('fails by any other answer, by none, and where there is nothing to ask', async () => {
    expect(await whileServing(createServer(answering(503)), (port) => check(`0.0.0.0:${port}`))).toBe(1);
    expect(await check(`0.0.0.0:${await freePort()}`)).toBe(1);
    expect(await check('none')).toBe(1);
  });
});

/** npm has what it needs in its cache, or the steps can't be done; with npm_config_offline=false it may ask for it. */
const npm = { npm_config_offline: process.env['npm_config_offline'] ?? 'true' };
const folder = mkdtempSync(join(tmpdir(), 'granary-image-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const image = await buildImage(DOCKERFILE, ROOT, folder, npm).catch((error: unknown) => {
  if (error instanceof StepFailedError && /ENOTCACHED|cache mode is 'only-if-cached'/.test(error.message)) return;
  throw error;
});
const NO_IMAGE: BuiltImage = { root: '', workingDirectory: '', environment: {}, command: [] };
if (!image) console.log("Skipped: what the Dockerfile makes, because npm's cache lacks some of the dependencies.");

describe.skipIf(!image)('what the Dockerfile makes', () => {
  const { root, workingDirectory, environment, command } = image ?? NO_IMAGE;
  const granary = join(root, workingDirectory);

  it('has what the server needs and nothing to build or test it with', () => {
    expect(existsSync(join(granary, 'node_modules/lmdb'))).toBe(true);
    for (const path of [
      'node_modules/typescript',
      'node_modules/@typescript',
      'node_modules/vitest',
      'packages/granary/src',
      'bench/node_modules',
    ])
      expect(existsSync(join(granary, path)), path).toBe(false);
  });

  it('serves as an unprivileged user, is found healthy, keeps what it gets, and ends on SIGTERM', async () => {
    const isRoot = process.getuid?.() === 0;
    const store = join(folder, 'store');
    mkdirSync(store, { mode: 0o700 });
    chmodSync(folder, 0o755);
    if (isRoot) chownSync(store, USER, USER);
    const [grpc, http, admin] = [await freePort(), await freePort(), await freePort()];
    const options = {
      cwd: granary,
      env: {
        ...environment,
        PATH: process.env['PATH'],
        // Uploads need a decision in a container; this test's is to let everybody.
        GRANARY_AUTH_ANONYMOUS: 'write',
        GRANARY_STORAGE_DIR: store,
        // The image's user is at home where its store is, and there the runtime keeps what it compiles.
        HOME: store,
        GRANARY_LISTEN_GRPC: `127.0.0.1:${grpc}`,
        GRANARY_LISTEN_HTTP: `127.0.0.1:${http}`,
        GRANARY_LISTEN_ADMIN: `127.0.0.1:${admin}`,
      },
      ...(isRoot && { uid: USER, gid: USER }),
    };
    const run = (words: readonly string[]) =>
      spawn(process.execPath, words, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    expect(command[0]).toBe('node');
    expect(await codeOf(run(['healthcheck.mjs']))).toBe(1);

    const server = run(command.slice(1));
    let said = '';
    const collect = (chunk: Buffer) => {
      said += chunk.toString();
    };
    server.stdout.on('data', collect);
    server.stderr.on('data', collect);
    const ended = once(server, 'exit');
    try {
      while (!said.includes('is ready')) {
        await Promise.race([once(server.stdout, 'data'), ended]);
        if (server.exitCode !== null) throw new Error(`ended with ${server.exitCode}: ${said}`);
      }
      expect(await codeOf(run(['healthcheck.mjs']))).toBe(0);
      const body = Buffer.from('from a container');
      const url = `http://127.0.0.1:${http}/cas/${createHash('sha256').update(body).digest('hex')}`;
      expect((await fetch(url, { method: 'PUT', body })).status).toBe(200);
      expect(await (await fetch(url)).text()).toBe('from a container');
    } finally {
      server.kill('SIGTERM');
    }
    expect(await ended).toEqual([0, null]);
  });
});

async function codeOf(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}
