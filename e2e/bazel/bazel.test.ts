import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../server.js';
import { Bazel, whyNoBazel } from './bazel.js';
import { writeRepositories, writeWorkspace } from './workspace.js';

/** `builder:secret`, by bcrypt. */
const HTPASSWD = 'builder:$2b$04$UA9M3JNCnXnBDyF4vyFvLO0iOMgAuV9HviNloo6neSwiqAKUPpYv.\n';

const OUTPUTS = ['hello', 'large.bin', 'numbers.txt', 'sum.txt', 'nothing.txt', 'directory_made/deep/er/2.txt'];

const reason = whyNoBazel();
if (reason) console.log(`Skipped: real Bazel, because ${reason}.`);

describe.skipIf(reason).each(['grpc', 'http'] as const)('Bazel over %s', (protocol) => {
  let scratch: string;
  let flags: string[];
  let server: RunningServer;
  let bazel: Bazel;
  let built: Record<string, string>;

  const url = (credentials = '') =>
    protocol === 'grpc'
      ? `--remote_cache=grpc://${credentials}127.0.0.1:${server.grpcPort}`
      : `--remote_cache=http://${credentials}127.0.0.1:${server.httpPort}`;

  const restart = async (...options: string[]) => {
    await server?.stop();
    server = await startServer(join(scratch, 'store'), ...options);
  };

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'granary-bazel-'));
    flags = writeRepositories(join(scratch, 'repositories'));
    mkdirSync(join(scratch, 'workspace'));
    writeWorkspace(join(scratch, 'workspace'));
    bazel = new Bazel(join(scratch, 'workspace'), join(scratch, 'root'), flags);
    await restart();
  });

  afterAll(async () => {
    await bazel?.shutdown();
    await server?.stop();
    // Bazel makes outputs read-only.
    if (scratch) rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  });

  it('uploads what a cold build made', async () => {
    const cold = await bazel.build(url());
    expect(cold.exitCode).toBe(0);
    expect(cold.processes['remote cache hit']).toBeUndefined();
    expect(cold.output).not.toMatch(/WARNING.*(remote|cache|upload)/i);
    built = await hashes(bazel);
    expect(Object.keys(built)).toEqual(OUTPUTS);
  });

  it('builds again from the cache alone, with the same outputs', async () => {
    await bazel.clean();
    const warm = await bazel.build(url());
    expect(Object.keys(warm.processes)).toEqual(['remote cache hit']);
    expect(await hashes(bazel)).toEqual(built);
  });

  it('takes test results from the cache', async () => {
    expect((await bazel.test(url())).output).toContain('2 tests pass');
    await bazel.clean();
    const warm = await bazel.test(url());
    expect(warm.output).toContain('2 tests pass');
    expect(Object.keys(warm.processes)).toEqual(['remote cache hit']);
  });

  it('builds from the cache in another folder with an empty output root', async () => {
    const elsewhere = join(scratch, 'elsewhere');
    mkdirSync(elsewhere);
    writeWorkspace(elsewhere);
    const other = new Bazel(elsewhere, join(scratch, 'other-root'), flags);
    try {
      const warm = await other.build(url());
      expect(Object.keys(warm.processes)).toEqual(['remote cache hit']);
      expect(await hashes(other)).toEqual(built);
    } finally {
      await other.shutdown();
    }
  });

  it('builds from the cache after the server was restarted', async () => {
    await restart();
    await bazel.clean();
    const warm = await bazel.build(url());
    expect(Object.keys(warm.processes)).toEqual(['remote cache hit']);
    expect(await hashes(bazel)).toEqual(built);
  });

  it('just builds again what was deleted from the store', async () => {
    await server.stop();
    const deleted = deleteLargeBlobs(join(scratch, 'store'));
    expect(deleted).toBeGreaterThan(0);
    await restart();
    await bazel.clean();
    const rebuilt = await bazel.build(url());
    expect(rebuilt.exitCode).toBe(0);
    expect(await hashes(bazel)).toEqual(built);
    await bazel.clean();
    expect(Object.keys((await bazel.build(url())).processes)).toEqual(['remote cache hit']);
  });

  it('is let in with the right credentials in the URL, and not with wrong ones', async () => {
    const htpasswd = join(scratch, 'htpasswd');
    writeFileSync(htpasswd, HTPASSWD);
    await restart('--auth.htpasswd_file', htpasswd, '--auth.anonymous', 'none');
    await bazel.clean();
    const right = await bazel.build(url('builder:secret@'));
    expect(right.exitCode, right.output).toBe(0);
    expect(Object.keys(right.processes)).toEqual(['remote cache hit']);
    await bazel.clean();
    const wrong = await bazel.build(url('builder:wrong@'));
    expect(wrong.processes['remote cache hit']).toBeUndefined();
  });
});

async function hashes(bazel: Bazel): Promise<Record<string, string>> {
  const folder = await bazel.outputs();
  return Object.fromEntries(
    OUTPUTS.filter((path) => existsSync(join(folder, path))).map((path) => [
      path,
      createHash('sha256')
        .update(readFileSync(join(folder, path)))
        .digest('hex'),
    ]),
  );
}

/** Removes every blob that the store keeps as a file, behind the store's back. */
function deleteLargeBlobs(store: string): number {
  const files = readdirSync(join(store, 'blobs'), { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  for (const file of files) rmSync(join(file.parentPath, file.name));
  return files.length;
}
