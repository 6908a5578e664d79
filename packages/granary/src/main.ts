#!/usr/bin/env node
import { run } from './cli/run.js';

const streams = [process.stdout, process.stderr];
// Whoever reads what we say may stop to; that is no reason to end.
for (const stream of streams) stream.on('error', () => {});
const exitCode = await run(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  environment: process.env,
});
// On some platforms a pipe is written in the background, and what is not written yet would be lost.
for (const stream of streams) await new Promise((resolve) => stream.write('', resolve));
process.exit(exitCode);
