// npm start [-- --key value …]: the server with its embedded defaults. It runs in this process, so that signals and exit
// codes are its own.
import { setUp } from './setup.mjs';

await setUp('runtime');
process.argv.splice(2, 0, 'serve');
await import('../packages/granary/dist/main.js');
