import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../packages/cache/src/redis/testing/free-port.js';

export { freePort };

const MAIN = fileURLToPath(new URL('../packages/granary/dist/main.js', import.meta.url));
const START_TIMEOUT_MS = 20_000;

/** A server as a user starts it: the built command line, in a process of its own. */
export interface RunningServer {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly adminPort: number;
  /** What it has said lately, on both streams. */
  said(): string;
  /** Asks for a graceful end and answers with the exit code. */
  stop(): Promise<number | null>;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
}

/** Starts `granary serve` on free ports of loopback and waits until it is ready. */
export async function startServer(directory: string, ...flags: string[]): Promise<RunningServer> {
  const [grpcPort, httpPort, adminPort] = [await freePort(), await freePort(), await freePort()];
  const args = [MAIN, 'serve', '--storage.dir', directory, '--telemetry.log_level', 'warning'];
  args.push('--listen.grpc', `127.0.0.1:${grpcPort}`, '--listen.http', `127.0.0.1:${httpPort}`);
  args.push('--listen.admin', `127.0.0.1:${adminPort}`, ...flags);
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = collect(child);
  await untilReady(child, adminPort, said);
  return {
    grpcPort,
    httpPort,
    adminPort,
    said,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      return child.exitCode;
    },
    async kill() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

function collect(child: ChildProcess): () => string {
  let text = '';
  const add = (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-10_000);
  };
  child.stdout?.on('data', add);
  child.stderr?.on('data', add);
  return () => text;
}

async function untilReady(child: ChildProcess, adminPort: number, said: () => string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}:\n${said()}`);
    const ready = await fetch(`http://127.0.0.1:${adminPort}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return;
    if (Date.now() > deadline) throw new Error(`the server is not ready:\n${said()}`);
    await sleep(25);
  }
}
