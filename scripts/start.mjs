// npm start [-- --key value …]: the server with its embedded defaults. It runs in this process, so that signals and exit
// codes are its own.
import { setUp } from './setup.mjs';

await setUp('runtime');
endWithTheShell();
process.argv.splice(2, 0, 'serve');
await import('../packages/granary/dist/main.js');

/**
 * npm gives SIGTERM to the shell that it started this process with, and not every shell passes it on. A server that
 * nobody can reach any more to end it would keep its ports and its folder: that the shell is gone is the signal.
 */
function endWithTheShell() {
  if (process.env.npm_lifecycle_event !== 'start') return;
  const shell = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, 250);
  watch.unref();
}
