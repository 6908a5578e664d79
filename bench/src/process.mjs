// Processes under test: started, asked for their cost, and ended by their own id.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

const CLOCK_TICKS = 100; // Linux's USER_HZ

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts a server and waits until its ports answer. */
export async function startServer(command, args, ports, { env = {}, timeoutMs = 60_000 } = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
  let complaints = '';
  child.stderr.on('data', (chunk) => {
    complaints = (complaints + chunk).slice(-4000);
  });
  const ended = once(child, 'exit');
  const deadline = Date.now() + timeoutMs;
  for (const port of ports) {
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}: ${complaints}`);
      if (Date.now() > deadline) throw new Error(`${command} does not answer on ${port}: ${complaints}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return {
    pid: child.pid,
    cpuSeconds: () => cpuSeconds(child.pid),
    memory: () => memory(child.pid),
    resetPeak: () => writeFileSync(`/proc/${child.pid}/clear_refs`, '5'),
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Runs a command to its end and answers with what it printed. */
export async function runToEnd(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], ...options });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${command} ${args[0]} ended with ${code}`);
  return output;
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

/** What the main thread of a process has taken of a processor: to the nanosecond, and to be asked before and after a turn. */
export function mainThreadSeconds(pid) {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
}

/** Resident memory in bytes: peak, now, and the part that is the process's own rather than pages of files. */
function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name) => Number(status.match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))?.[1] ?? 0) * 1024;
  return { peak: field('VmHWM'), now: field('VmRSS'), own: field('RssAnon') };
}
