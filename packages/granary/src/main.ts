#!/usr/bin/env node
import { run } from './cli/run.js';

// Whoever reads our output may stop to; that is no reason to end.
process.stdout.on('error', () => {});
const exitCode = await run(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  environment: process.env,
});
// On some platforms a pipe is written in the background, and what is not written yet would be lost.
for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write('', resolve));
process.exit(exitCode);
