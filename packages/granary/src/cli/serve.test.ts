import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { copyFile, mkdir, open, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import module from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OtlpCollector } from '@granary/telemetry/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificate, temporaryFolder } from '../testing/test-server.js';
import { run } from './run.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

let folder: string;
let stores = 0;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const flags = (...more: string[]) => [
  ...['serve', '--listen.grpc', '127.0.0.1:0', '--listen.http', '127.0.0.1:0', '--listen.admin', '127.0.0.1:0'],
  ...['--storage.dir', join(folder, `store-${stores++}`), '--storage.max_size', '64MiB', '--storage.min_free', '0'],
  ...['--telemetry.log_format', 'json', ...more],
];

interface Child {
  readonly process: ChildProcess;
  /** What it has said on both streams. */
  readonly said: () => string;
  /** Waits until it has said this. */
  until(text: string): Promise<void>;
  /** Waits for its exit code. */
  readonly exit: Promise<number | null>;
  address(name: string): string;
}

/** The program as a user starts it. */
function start(words: readonly string[], environment: Record<string, string | undefined> = {}): Child {
  const child = spawn(process.execPath, [MAIN, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let said = '';
  const waiting = new Set<() => void>();
  const hear = (chunk: Buffer) => {
    said += String(chunk);
    for (const look of waiting) look();
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const exit = once(child, 'close').then(([code]) => code as number | null);
  return {
    process: child,
    said: () => said,
    exit,
    until: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!said.includes(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        exit.then(() => reject(new Error(`it ended without saying "${text}":\n${said}`)));
        look();
      }),
    address: (name) => new RegExp(`^ {2}${name} +(\\S+)`, 'm').exec(said)?.[1] ?? '',
  };
}

const READY = '--remote_cache=http://';

/** A request that has begun and that the server waits for. */
async function beginUpload(child: Child) {
  const upload = request(`http://${child.address('HTTP')}/cas/${'a'.repeat(64)}`, {
    method: 'PUT',
    headers: { 'Content-Length': 1000, Expect: '100-continue' },
  });
  upload.on('error', () => {});
  upload.flushHeaders();
  await once(upload, 'continue');
  return upload;
}

describe.skipIf(!existsSync(MAIN))('granary serve, as a process', () => {
  it('serves until SIGTERM and ends with 0', async () => {
    const child = start(flags());
    await child.until(READY);
    expect((await fetch(`http://${child.address('admin')}/readyz`)).status).toBe(200);
    expect(child.said()).toContain('--remote_cache=grpc://127.0.0.1:');
    child.process.kill('SIGTERM');
    expect(await child.exit).toBe(0);
    expect(child.said()).toContain('SIGTERM: shutting down');
    expect(child.said()).toContain('"msg":"Stopped"');
  });

  it('lets running requests finish after SIGINT, unready meanwhile', async () => {
    const child = start(flags());
    await child.until(READY);
    const upload = await beginUpload(child);
    child.process.kill('SIGINT');
    await child.until('SIGINT: shutting down');
    expect((await fetch(`http://${child.address('admin')}/readyz`)).status).toBe(503);
    const answer = once(upload, 'response');
    upload.end(Buffer.alloc(1000));
    const [response] = await answer;
    expect(response.statusCode).toBe(400);
    response.resume();
    expect(await child.exit).toBe(0);
  });

  it('ends requests that outlast shutdown.grace, and says so', async () => {
    const child = start(flags('--shutdown.grace', '50ms'));
    await child.until(READY);
    const upload = await beginUpload(child);
    child.process.kill('SIGTERM');
    expect(await child.exit).toBe(0);
    expect(child.said()).toContain('Requests still ran 50 ms after the shutdown began');
    upload.destroy();
  });

  it('is killed when what it waits for never comes, as from a disk that hangs', { timeout: 60_000 }, async () => {
    const directory = join(folder, 'hanging');
    const hanging = join(directory, 'nuget', 'kept.jsonl');
    await mkdir(dirname(hanging), { recursive: true });
    execFileSync('mkfifo', [hanging]);
    const child = start(flags('--storage.dir', directory, '--shutdown.grace', '0s'));
    // Resolves when the server reads from it, and what it waits for is written here, which nothing is.
    await using _ = await open(hanging, 'w');
    child.process.kill('SIGTERM');
    expect(await child.exit).toBeNull();
    expect(child.process.signalCode).toBe('SIGKILL');
    expect(child.said()).toContain('it is killed');
  });

  it('ends at once with 1 on a second signal', async () => {
    const child = start(flags('--shutdown.grace', '10m'));
    await child.until(READY);
    const upload = await beginUpload(child);
    child.process.kill('SIGTERM');
    await child.until('SIGTERM: shutting down');
    child.process.kill('SIGINT');
    expect(await child.exit).toBe(1);
    expect(child.said()).toContain('SIGINT again: ending at once');
    upload.destroy();
  });

  it('ends with 0 on a signal that comes while it is still being loaded, and starts nothing', async () => {
    // As soon as anybody listens: to process 1 of a container a signal before that is none. One that is sent would be heard
    // of when the event loop turns, which newer versions of Node don't do before everything is loaded.
    const preload = `process.on('newListener', function tell(event) {
      if (event !== 'SIGTERM') return;
      process.off('newListener', tell);
      queueMicrotask(() => process.emit(event, event));
    });`;
    const child = start(flags(), { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` });
    expect([await child.exit, child.said()]).toEqual([0, '']);
  });

  it('reads certificates again on SIGHUP, and keeps the old ones when the new are wrong', async () => {
    const cert = join(folder, 'cert.pem');
    const key = join(folder, 'key.pem');
    await copyFile(certificate('server.pem'), cert);
    await copyFile(certificate('server.key'), key);
    const child = start(flags('--tls.cert_file', cert, '--tls.key_file', key));
    await child.until('--remote_cache=https://');
    await writeFile(cert, 'nonsense');
    child.process.kill('SIGHUP');
    await child.until('Certificates, users and tokens stay as they were');
    await copyFile(certificate('server2.pem'), cert);
    await copyFile(certificate('server2.key'), key);
    child.process.kill('SIGHUP');
    await child.until('Certificates, users and tokens were read again');
    child.process.kill('SIGTERM');
    expect(await child.exit).toBe(0);
  });

  it('takes the level of the log from its file on SIGHUP, and keeps it when the file is wrong', async () => {
    const file = join(folder, 'level.yaml');
    await writeFile(file, 'telemetry:\n  log_level: info\n');
    const child = start(flags('--config', file));
    await child.until(READY);
    const lookUp = (hash: string) => fetch(`http://${child.address('HTTP')}/ac/${hash}`);
    const quiet = 'a'.repeat(64);
    await lookUp(quiet);
    await writeFile(file, 'telemetry:\n  log_level: debug\n');
    child.process.kill('SIGHUP');
    await child.until('The level of the log is debug, as the configuration says');
    await lookUp('b'.repeat(64));
    await child.until('b'.repeat(64));
    await writeFile(file, 'telemetry:\n  log_level: loud\n');
    child.process.kill('SIGHUP');
    await child.until('The level of the log stays debug');
    expect(child.said()).toContain('telemetry.log_level: found \\"loud\\"');
    await lookUp('c'.repeat(64));
    await child.until('c'.repeat(64));
    expect(child.said()).not.toContain(quiet);
    child.process.kill('SIGTERM');
    expect(await child.exit).toBe(0);
  });

  it('refuses wrong configuration with 2, before anything is started', async () => {
    const child = start(flags('--storage.max_sise', '1'), { GRANARY_LISTEN_HTTP: 'x' });
    expect(await child.exit).toBe(2);
    expect(child.said()).toContain('the configuration has 2 mistakes');
  });

  it('keeps what it compiled in the cache folder of the user, where the runtime can, and does without', async () => {
    const cache = join(folder, 'cache');
    // Tests in general leave that cache alone.
    const child = start(['--version'], { XDG_CACHE_HOME: cache, HOME: folder, NODE_DISABLE_COMPILE_CACHE: undefined });
    expect(await child.exit).toBe(0);
    expect(readdirSync(folder, { recursive: true }).some((path) => String(path).endsWith('granary-compiled'))).toBe(
      'enableCompileCache' in module,
    );
    const without = start(['--version'], { XDG_CACHE_HOME: '/dev/null', HOME: '/dev/null' });
    expect(await without.exit).toBe(0);
    expect(without.said()).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('loads no parser of YAML, no server reflection and no SDK of OpenTelemetry before they are needed', async () => {
    const preload = `import module from 'node:module';
      process.on('SIGUSR2', () => console.log(Object.keys(module._cache).join('\\n') + '\\nTHAT IS ALL'));`;
    const child = start(flags(), { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` });
    await child.until(READY);
    child.process.kill('SIGUSR2');
    await child.until('THAT IS ALL');
    expect(child.said()).toContain('node_modules/@grpc/grpc-js/');
    // The metrics of the process, which are loaded right after the start, bring OpenTelemetry's API.
    const sdk = ['sdk-trace', 'resources', 'exporter-trace-otlp-grpc', 'core'].map((part) => `@opentelemetry/${part}`);
    for (const name of ['yaml', 'protobufjs', '@grpc/reflection', ...sdk])
      expect(child.said()).not.toContain(`node_modules/${name}/`);
    child.process.kill('SIGTERM');
    expect(await child.exit).toBe(0);
  });

  it('sends its traces to a collector, the last ones before it ends', async () => {
    await using collector = await OtlpCollector.start();
    const child = start(
      flags(
        ...['--telemetry.tracing_endpoint', collector.endpoint, '--telemetry.service_name', 'cache-of-a-test'],
        ...['--telemetry.tracing_propagation', 'b3', '--telemetry.log_level', 'debug'],
      ),
    );
    await child.until(READY);
    const [traceId, parentSpanId] = ['ab'.repeat(16), 'cd'.repeat(8)];
    const headers = { b3: `${traceId}-${parentSpanId}-1` };
    expect((await fetch(`http://${child.address('HTTP')}/cas/${'a'.repeat(64)}`, { headers })).status).toBe(404);
    await child.until('"component":"access"');
    child.process.kill('SIGTERM');
    expect(await child.exit).toBe(0);
    const span = collector.only('GET /cas/{hash}');
    expect(span).toMatchObject({ traceId, parentSpanId });
    expect(span.resource).toMatchObject({ 'service.name': 'cache-of-a-test' });
    const [line] = child
      .said()
      .split('\n')
      .filter((each) => each.includes('"component":"access"'));
    expect(JSON.parse(line ?? '')).toMatchObject({ trace_id: traceId, span_id: span.spanId });
  });

  it('fails with 1 and names the key when a port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const child = start([...flags(), '--listen.admin', `127.0.0.1:${port}`]);
    expect(await child.exit).toBe(1);
    expect(child.said()).toContain(`granary: listen.admin: can't listen on 127.0.0.1:${port}: the port is in use`);
    other.close();
  });

  it('fails with 1 when another server has the folder', async () => {
    const words = flags();
    const first = start(words);
    await first.until(READY);
    const second = start(words);
    expect(await second.exit).toBe(1);
    expect(second.said()).toMatch(/granary: .* is in use by .*storage\.dir/);
    first.process.kill('SIGTERM');
    expect(await first.exit).toBe(0);
  });

  it('lives on when nobody reads what it says any more', async () => {
    const child = start(flags('--telemetry.log_level', 'debug'));
    await child.until(READY);
    const address = child.address('HTTP');
    child.process.stdout?.destroy();
    child.process.stderr?.destroy();
    for (let i = 0; i < 3; i++) expect((await fetch(`http://${address}/status`)).status).toBe(200);
    child.process.kill('SIGTERM');
    await once(child.process, 'exit');
    expect(child.process.exitCode).toBe(0);
  });

  it('logs each request at debug, and no secret', async () => {
    const child = start(flags('--telemetry.log_level', 'debug'));
    await child.until(READY);
    await fetch(`http://${child.address('HTTP')}/ac/${'c'.repeat(64)}`, {
      headers: { Authorization: 'Bearer very-secret-token' },
    });
    await child.until('http ac GET');
    child.process.kill('SIGTERM');
    await child.exit;
    expect(child.said()).toMatch(/"Code":"404"/);
    expect(child.said()).toContain('c'.repeat(64));
    expect(child.said()).not.toContain('very-secret-token');
  });
});

describe.skipIf(!existsSync(MAIN))('granary serve, when something is thrown that nobody catches', () => {
  /** The program with something loaded in front that throws when it is told to. */
  const startFaulty = (words: readonly string[], fault: string) => {
    const preload = `process.on('SIGUSR2', () => { ${fault} })`;
    return start(words, { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` });
  };
  const records = (child: Child) =>
    child
      .said()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  it.each([
    ['an error', `throw new TypeError('boom')`, 'An error was not caught; the server ends'],
    ['a rejection', `Promise.reject(new TypeError('boom'))`, 'A rejection was not handled; the server ends'],
    ['an event', `process.stdin.emit('error', new TypeError('boom'))`, 'An error was not caught; the server ends'],
  ])('logs %s as fatal, and ends with 1 at once', async (_, fault, msg) => {
    const child = startFaulty(flags('--shutdown.grace', '10m'), fault);
    await child.until(READY);
    const upload = await beginUpload(child);
    child.process.kill('SIGUSR2');
    expect(await child.exit).toBe(1);
    // What the system was writing then may come after it.
    const fatal = records(child).find(({ level }) => level === 'fatal');
    expect(fatal).toMatchObject({ msg, err: { message: 'boom' } });
    expect(JSON.stringify(fatal)).toContain('TypeError: boom');
    upload.destroy();
  });

  it('says what was thrown where it is no error', async () => {
    const child = startFaulty(flags(), `Promise.reject('out of luck')`);
    await child.until(READY);
    child.process.kill('SIGUSR2');
    expect(await child.exit).toBe(1);
    expect(records(child)).toContainEqual(expect.objectContaining({ level: 'fatal', extra: ['out of luck'] }));
  });

  it('says why it ends even where it logs nothing', async () => {
    const child = startFaulty(flags('--telemetry.log_level', 'none'), `throw new TypeError('boom')`);
    await child.until(READY);
    child.process.kill('SIGUSR2');
    expect(await child.exit).toBe(1);
    expect(records(child)).toEqual([]);
    expect(child.said()).toContain('granary: An error was not caught: TypeError: boom\n');
  });

  it('ends with 1 while it shuts down, too', async () => {
    const child = startFaulty(flags('--shutdown.grace', '10m'), `throw new Error('boom')`);
    await child.until(READY);
    const upload = await beginUpload(child);
    child.process.kill('SIGTERM');
    await child.until('SIGTERM: shutting down');
    child.process.kill('SIGUSR2');
    expect(await child.exit).toBe(1);
    const fatal = records(child).find(({ level }) => level === 'fatal');
    expect(fatal).toMatchObject({ err: { message: 'boom' } });
    upload.destroy();
  });

  it('keeps what was stored, and leaves the folder to the next server', async () => {
    const words = flags();
    const child = startFaulty(words, `throw new Error('boom')`);
    await child.until(READY);
    const bytes = randomBytes(100_000);
    const path = `/cas/${createHash('sha256').update(bytes).digest('hex')}`;
    const stored = await fetch(`http://${child.address('HTTP')}${path}`, { method: 'PUT', body: bytes });
    expect(stored.ok).toBe(true);
    child.process.kill('SIGUSR2');
    expect(await child.exit).toBe(1);
    const next = start(words);
    await next.until(READY);
    const response = await fetch(`http://${next.address('HTTP')}${path}`);
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    next.process.kill('SIGTERM');
    expect(await next.exit).toBe(0);
  });
});

describe('granary serve, within a process', () => {
  it('serves, reloads and stops as signals say, and leaves no listener behind', async () => {
    const signals = ['SIGTERM', 'SIGINT', 'SIGHUP', 'uncaughtException', 'unhandledRejection'];
    const count = () => signals.map((signal) => process.listenerCount(signal));
    const before = count();
    let message = '';
    let announce: () => void = () => {};
    const ready = new Promise<void>((resolve) => {
      announce = resolve;
    });
    const ended = run(flags('--telemetry.log_level', 'none'), {
      out: (text) => {
        message += text;
        announce();
      },
      err: () => {},
      environment: {},
    });
    await ready;
    expect(message).toContain(READY);
    process.emit('SIGHUP');
    process.emit('SIGTERM');
    expect(await ended).toBe(0);
    expect(count()).toEqual(before);
  });

  it('is not ended by SIGHUP while it starts', async () => {
    const listened = new Promise<boolean>((resolve) => {
      // Emits it a turn after the server began to listen to signals, long before it serves.
      const look = (event: string | symbol) => {
        if (event !== 'SIGTERM') return;
        process.off('newListener', look);
        setImmediate(() => resolve(process.emit('SIGHUP')));
      };
      process.on('newListener', look);
    });
    let announce: () => void = () => {};
    const ready = new Promise<void>((resolve) => {
      announce = resolve;
    });
    const ended = run(flags('--telemetry.log_level', 'none'), { out: announce, err: () => {}, environment: {} });
    expect(await listened).toBe(true);
    await ready;
    process.emit('SIGTERM');
    expect(await ended).toBe(0);
  });
});
