import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../server.js';

const READY_TIMEOUT_MS = 30_000;

/** A server of other make, in a process of its own. */
export interface RunningProgram extends AsyncDisposable {
  /** Where it keeps what it has. */
  readonly folder: string;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** Starts it again, where it was and with what it had on its disk. */
  restart(): Promise<void>;
}

/** A cache of other make. */
export interface Peer extends RunningProgram {
  /** What the configuration of a tier says about where it is. */
  readonly tier: { readonly type: 'grpc'; readonly target: string } | { readonly type: 'http'; readonly url: string };
}

interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** The ports that it listens on when it is ready. */
  readonly ports: readonly number[];
}

type PeerProgram = Program & Pick<Peer, 'tier'>;

/** A kind of peer, by the command that starts it. */
export interface PeerKind {
  readonly name: string;
  /** Why it can't be started here. */
  readonly missing: string | undefined;
  start(): Promise<Peer>;
}

/** Each is found by a variable of the environment, or on the path. */
export const PEERS: readonly PeerKind[] = [
  kind('bazel-remote over gRPC', 'BAZEL_REMOTE', 'bazel-remote', (command, folder) =>
    bazelRemote(command, folder, 'grpc'),
  ),
  kind('bazel-remote over HTTP', 'BAZEL_REMOTE', 'bazel-remote', (command, folder) =>
    bazelRemote(command, folder, 'http'),
  ),
  kind('BuildGrid over gRPC', 'BUILDGRID', 'bgd', buildGrid),
  kind('nginx over HTTP', 'NGINX', 'nginx', nginx),
];

/** Not every one of them has a `--version`. */
function onPath(command: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, command)).find(existsSync);
}

function kind(
  name: string,
  variable: string,
  fallback: string,
  program: (command: string, folder: string) => Promise<PeerProgram>,
): PeerKind {
  const command = process.env[variable] || onPath(fallback);
  return {
    name,
    missing: command ? undefined : `${fallback} is not installed, and ${variable} names none`,
    async start() {
      const started = await startProgram((folder) => program(command ?? fallback, folder));
      return { ...started.running, tier: started.program.tier };
    },
  };
}

async function bazelRemote(command: string, folder: string, protocol: 'grpc' | 'http'): Promise<PeerProgram> {
  const [grpc, http] = [await freePort(), await freePort()];
  const args = ['--dir', folder, '--max_size', '1', '--storage_mode', 'zstd', '--access_log_level', 'none'];
  args.push('--grpc_address', `127.0.0.1:${grpc}`, '--http_address', `127.0.0.1:${http}`);
  const tier =
    protocol === 'grpc'
      ? { type: 'grpc' as const, target: `127.0.0.1:${grpc}` }
      : { type: 'http' as const, url: `http://127.0.0.1:${http}` };
  return { command, args, tier, ports: [grpc, http] };
}

async function buildGrid(command: string, folder: string): Promise<PeerProgram> {
  const port = await freePort();
  const file = join(folder, 'buildgrid.yml');
  // Results are kept in its memory, what they name on its disk.
  await writeFile(
    file,
    `server:
  - !channel
    address: 127.0.0.1:${port}
    insecure-mode: true
instances:
  - name: ''
    storages:
      - !disk-storage &storage
        path: ${join(folder, 'cas')}
    caches:
      - !lru-action-cache &results
        storage: *storage
        max-cached-refs: 1000
        allow-updates: true
        cache-failed-actions: true
    services:
      - !action-cache { cache: *results }
      - !cas { storage: *storage }
      - !bytestream { storage: *storage }
`,
  );
  const tier = { type: 'grpc' as const, target: `127.0.0.1:${port}` };
  return { command, args: ['server', 'start', file], tier, ports: [port] };
}

/** With the settings that the documentation names. */
async function nginx(command: string, folder: string): Promise<PeerProgram> {
  const port = await freePort();
  const file = join(folder, 'nginx.conf');
  await writeFile(
    file,
    `daemon off;
master_process off;
pid ${join(folder, 'pid')};
events {}
http {
  access_log off;
  client_body_temp_path ${join(folder, 'uploads')};
  proxy_temp_path ${join(folder, 'proxy')};
  fastcgi_temp_path ${join(folder, 'fastcgi')};
  uwsgi_temp_path ${join(folder, 'uwsgi')};
  scgi_temp_path ${join(folder, 'scgi')};
  server {
    listen 127.0.0.1:${port};
    location / {
      root ${join(folder, 'files')};
      dav_methods PUT;
      create_full_put_path on;
      client_max_body_size 0;
    }
  }
}
`,
  );
  const tier = { type: 'http' as const, url: `http://127.0.0.1:${port}` };
  return { command, args: ['-p', folder, '-e', 'stderr', '-c', file], tier, ports: [port] };
}

/** Starts a program in a folder of its own, which goes when it is disposed of. */
export async function startProgram<P extends Program>(
  programOf: (folder: string) => Promise<P>,
): Promise<{ readonly program: P; readonly running: RunningProgram }> {
  const folder = await mkdtemp(join(tmpdir(), 'granary-peer-'));
  let child: ChildProcess | undefined;
  const kill = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  const stop = async () => {
    await kill();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const program = await programOf(folder);
    const restart = async () => {
      await kill();
      child = spawn(program.command, program.args, { stdio: ['ignore', 'pipe', 'pipe'] });
      await untilReady(child, program.ports);
    };
    await restart();
    return { program, running: { folder, kill, restart, [Symbol.asyncDispose]: stop } };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function untilReady(child: ChildProcess, ports: readonly number[]): Promise<void> {
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-5000);
    });
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (const port of ports) {
    while (!(await listens(port))) {
      if (failure) throw failure;
      if (child.exitCode !== null) throw new Error(`the peer ended with ${child.exitCode}:\n${said}`);
      if (Date.now() > deadline) throw new Error(`the peer is not ready:\n${said}`);
      await sleep(25);
    }
  }
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
