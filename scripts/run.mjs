import { spawn } from 'node:child_process';

/**
 * Runs a command to its end and shows what it prints. A signal that this process gets is passed on.
 *
 * @param {string} title
 * @param {string} command
 * @param {readonly string[]} args
 * @param {import('node:child_process').SpawnOptions} [options]
 * @returns {Promise<{ title: string, code: number, seconds: number }>}
 */
export function run(title, command, args, options = {}) {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'inherit', 'inherit'] });
    let received;
    const passOn = (signal) => {
      received = signal;
      child.kill(signal);
    };
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, passOn);
    const end = () => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, passOn);
      // What comes after this command is not wanted any more.
      if (received) process.kill(process.pid, received);
    };
    child.once('error', (error) => {
      end();
      reject(error);
    });
    child.once('close', (code) => {
      end();
      resolve({ title, code: code ?? 1, seconds: (performance.now() - begun) / 1000 });
    });
  });
}
