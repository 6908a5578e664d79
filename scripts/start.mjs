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
  let isGone = false;
  const watch = setInterval(() => {
    if (process.ppid === shell) return;
    // Seen twice: a signal that ended both may be here already, behind this timer.
    if (!isGone) {
      isGone = true;
      return;
    }
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, 250);
  watch.unref();
  // One that came to the whole group ended the shell, too. Another one on top would end the server at once.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      clearInterval(watch);
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  }
}
