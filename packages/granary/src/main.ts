#!/usr/bin/env node
import { enableCompileCache } from './compile-cache.js';
import { endOnEarlySignals } from './early-signals.js';
import { endWithoutFiles } from './end-without-files.js';
import { tuneProcess } from './tune-process.js';

// A hang-up asks a server to read its files again. While it is being loaded it has yet to read them, but without a
// listener it would be ended; so would one that is about to end well.
if (process.argv.includes('serve')) process.on('SIGHUP', () => {});
const signalsTaken = process.argv[2] === 'serve' ? endOnEarlySignals() : undefined;

enableCompileCache();
const leaveToServer = endWithoutFiles();
const { run } = await import('./cli/run.js');

tuneProcess();

/** Terminals that nobody has told their size say that they have no columns. */
const columnsOf = ({ isTTY, columns }: NodeJS.WriteStream) => (isTTY ? columns || 80 : undefined);

const streams = [process.stdout, process.stderr];
// Whoever reads what we say may stop to; that is no reason to end. What a full disk didn't take is lost, though.
let lost: NodeJS.ErrnoException | undefined;
for (const stream of streams)
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (stream === process.stdout && error.code !== 'EPIPE') lost ??= error;
  });
const exitCode = await run(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  environment: process.env,
  signalsTaken() {
    leaveToServer();
    signalsTaken?.();
  },
  outColumns: columnsOf(process.stdout),
  // Whoever draws a line again and again asks again: windows are made larger and smaller.
  get errColumns() {
    return columnsOf(process.stderr);
  },
  readInput: async () => (await import('node:stream/consumers')).text(process.stdin),
});
// On some platforms a pipe is written in the background, and what is not written yet would be lost.
for (const stream of streams) await new Promise((resolve) => stream.write('', resolve));
if (lost !== undefined) process.stderr.write(`granary: can't write to standard output: ${lost.message}\n`);
process.exit(exitCode === 0 && lost !== undefined ? 1 : exitCode);
