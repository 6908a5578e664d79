// The best peer, built from its Go module and run with the same disk, the same limits and uncompressed storage.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startServer } from '../src/process.mjs';

const VERSION = process.env.BAZEL_REMOTE_VERSION ?? 'v2.5.1';
const BUILT = fileURLToPath(new URL('../results/peers', import.meta.url));

/** @returns the running server, or why there is none */
export async function startBazelRemote(directory) {
  const binary = process.env.BAZEL_REMOTE ?? join(BUILT, 'bazel-remote');
  if (!existsSync(binary)) {
    mkdirSync(BUILT, { recursive: true });
    const built = spawnSync('go', ['install', `github.com/buchgr/bazel-remote/v2@${VERSION}`], {
      env: { ...process.env, GOBIN: BUILT },
      encoding: 'utf8',
    });
    if (built.error) return 'there is no Go toolchain to build it with';
    if (built.status !== 0) return `its module ${VERSION} could not be had: ${built.stderr.trim().split('\n').at(-1)}`;
  }
  const [grpc, http] = [await freePort(), await freePort()];
  const args = ['--dir', directory, '--max_size', '20', '--storage_mode', 'uncompressed', '--access_log_level', 'none'];
  args.push('--grpc_address', `127.0.0.1:${grpc}`, '--http_address', `127.0.0.1:${http}`);
  return { name: 'bazel-remote', grpc, http, ...(await startServer(binary, args, [grpc, http])) };
}
