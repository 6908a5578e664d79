import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, type RunningServer, startServer } from '../server.js';
import { Bazel, whyNoBazel } from './bazel.js';
import { writeRepositories, writeWorkspace } from './workspace.js';

const OUTPUTS = ['hello', 'large.bin', 'sum.txt', 'directory_made/deep/er/2.txt'];
const LIFE_MS = 400;

const reason = whyNoBazel();
if (reason) console.log(`Skipped: real Bazel through tiers, because ${reason}.`);

describe.skipIf(reason)('Bazel through a server in front of another', () => {
  let scratch: string;
  let flags: string[];
  let backPort: number;
  let back: RunningServer | undefined;
  let front: RunningServer | undefined;
  const bazels: Bazel[] = [];

  const startBack = async () => {
    back = await startServer(join(scratch, 'back'), '--listen.grpc', `127.0.0.1:${backPort}`);
  };

  const startFront = async (name: string, mode: string) => {
    await front?.stop();
    const tier = { type: 'grpc', target: `127.0.0.1:${backPort}`, mode, failures: 2, rest: '200ms', timeout: '2s' };
    front = await startServer(join(scratch, name), '--tiers', JSON.stringify([tier]));
  };

  /** A Bazel that has built nothing yet, in a folder of its own. */
  const freshBazel = (name: string) => {
    const workspace = join(scratch, name);
    mkdirSync(workspace);
    writeWorkspace(workspace);
    const bazel = new Bazel(workspace, join(scratch, `${name}-root`), flags);
    bazels.push(bazel);
    return bazel;
  };

  const cache = () => `--remote_cache=grpc://127.0.0.1:${front?.grpcPort}`;

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'granary-bazel-tiers-'));
    flags = writeRepositories(join(scratch, 'repositories'));
    backPort = await freePort();
    await startBack();
    await startFront('front', 'write-behind');
  });

  afterAll(async () => {
    for (const bazel of bazels) await bazel.shutdown();
    await front?.stop();
    await back?.stop();
    // Bazel makes outputs read-only.
    if (scratch) rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  });

  let built: string[];

  it('builds while the other is killed and started again, over and over', async () => {
    const bazel = freshBazel('cold');
    let isOver = false;
    const building = bazel.build(cache()).finally(() => {
      isOver = true;
    });
    let kills = 0;
    while (!isOver) {
      await sleep(LIFE_MS);
      await back?.kill();
      if (!isOver) kills++;
      await sleep(LIFE_MS);
      await startBack();
    }
    const cold = await building;
    expect(cold.exitCode, cold.output).toBe(0);
    expect(kills).toBeGreaterThan(1);
    expect(cold.processes['remote cache hit']).toBeUndefined();
    expect(cold.output).not.toMatch(/WARNING.*(remote|cache|upload)/i);
    built = await hashes(bazel);
  });

  it('has everything for a clean build from another output root', async () => {
    const bazel = freshBazel('warm');
    const warm = await bazel.build(cache());
    expect(Object.keys(warm.processes)).toEqual(['remote cache hit']);
    expect(await hashes(bazel)).toEqual(built);
  });

  it('has brought everything to the other, for a server with an empty disk in front of it', async () => {
    await untilWritten(front);
    await startFront('empty', 'read-through');
    const bazel = freshBazel('far');
    const warm = await bazel.build(cache());
    expect(Object.keys(warm.processes)).toEqual(['remote cache hit']);
    expect(await hashes(bazel)).toEqual(built);
  });

  it('builds with what is here while the other is gone', async () => {
    await back?.kill();
    const bazel = freshBazel('alone');
    const warm = await bazel.build(cache());
    expect(Object.keys(warm.processes)).toEqual(['remote cache hit']);
    expect(await hashes(bazel)).toEqual(built);
    await startFront('other', 'write-through');
    await bazel.clean();
    const cold = await bazel.build(cache());
    expect(cold.exitCode, cold.output).toBe(0);
    await bazel.clean();
    expect(Object.keys((await bazel.build(cache())).processes)).toEqual(['remote cache hit']);
  });
});

/** Waits until nothing is queued for the tier. */
async function untilWritten(server: RunningServer | undefined): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${server?.adminPort}/metrics`);
    const left = (await response.text()).match(/^granary_queue_depth(?:\{[^}]*\})? (\d+)/m)?.[1];
    if (left === '0') return;
    if (Date.now() > deadline) throw new Error(`${left} are still to be written to the tier`);
    await sleep(50);
  }
}

async function hashes(bazel: Bazel): Promise<string[]> {
  const folder = await bazel.outputs();
  return OUTPUTS.map((path) =>
    createHash('sha256')
      .update(readFileSync(join(folder, path)))
      .digest('hex'),
  );
}
