import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));

/** Runs the command line where no more than so many files may be open. */
function runWithFiles(files: number, ...words: string[]): Promise<{ code: unknown; err: string }> {
  const script = `ulimit -n ${files} && exec "$0" "$@"`;
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', script, process.execPath, MAIN, ...words], (error, _, err) =>
      resolve({ code: error?.code ?? 0, err }),
    );
  });
}

/** Newer ones open modules one after the other, and so start with as few files as Node itself needs. */
const LOADS_AT_ONCE = Number.parseInt(process.versions.node, 10) < 22;

describe.skipIf(process.platform === 'win32' || !LOADS_AT_ONCE || !existsSync(MAIN))(
  'where too few files may be open',
  () => {
    it.each([
      ['a server', ['serve', '--listen.grpc', 'none', '--listen.http', 'none', '--listen.admin', '127.0.0.1:0']],
      ['a command', ['config', 'check']],
    ])('%s says so in one line instead of starting', async (_, words) => {
      expect(await runWithFiles(48, ...words)).toEqual({
        code: 1,
        err: 'granary: too few files may be open: raise the limit of this process (ulimit -n, LimitNOFILE)\n',
      });
    });
  },
);
