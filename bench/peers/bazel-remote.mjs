// The best peer, built from its Go module and run with the same disk, the same limits and uncompressed storage.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startServer } from '../src/process.mjs';

const VERSION = process.env.BAZEL_REMOTE_VERSION ?? 'v2.6.1';
const MODULE = 'github.com/buchgr/bazel-remote/v2';
const BUILT = fileURLToPath(new URL('../results/peers', import.meta.url));

/** @returns the running server, or why there is none */
export async function startBazelRemote(directory) {
  const binary = process.env.BAZEL_REMOTE ?? join(BUILT, `bazel-remote-${VERSION}`);
  const problem = existsSync(binary) ? undefined : build(binary);
  if (problem) return problem;
  const [grpc, http] = [await freePort(), await freePort()];
  const args = ['--dir', directory, '--max_size', '20', '--storage_mode', 'uncompressed', '--access_log_level', 'none'];
  args.push('--grpc_address', `127.0.0.1:${grpc}`, '--http_address', `127.0.0.1:${http}`);
  return { name: 'bazel-remote', grpc, http, ...(await startServer(binary, args, [grpc, http])) };
}

/** Builds in the module's own folder, because `go install` asks for a list of versions that not every proxy has. */
function build(binary) {
  mkdirSync(BUILT, { recursive: true });
  const downloaded = spawnSync('go', ['mod', 'download', '-json', `${MODULE}@${VERSION}`], { encoding: 'utf8' });
  if (downloaded.error) return 'there is no Go toolchain to build it with';
  const { Dir, Error: reason } = JSON.parse(downloaded.stdout || '{}');
  if (!Dir) return `its module ${VERSION} could not be had: ${reason ?? downloaded.stderr.trim()}`;
  const built = spawnSync('go', ['build', '-buildvcs=false', '-o', binary, '.'], { cwd: Dir, encoding: 'utf8' });
  return built.status === 0 ? undefined : `it could not be built: ${built.stderr.trim().split('\n').at(-1)}`;
}
