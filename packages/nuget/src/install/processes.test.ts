import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildPackage, type FeedServer, startFeedServer } from '../testing/index.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import { inspect } from './inspect.js';
import { PackagesFolder } from './packages-folder.js';

const WRITER = fileURLToPath(new URL('../../dist/install/testing/installing-writer.js', import.meta.url));
const IDS = Array.from({ length: 12 }, (_, i) => `Package${i}`);
const version = NuGetVersion.parse('1.0.0');

let folder: string;
let feed: FeedServer;
const children = new Set<ChildProcess>();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-processes-'));
  const files = Object.fromEntries(IDS.map((name) => [`lib/net8.0/${name}.dll`, Buffer.alloc(20_000, name)]));
  feed = await startFeedServer({ packages: IDS.map((id) => buildPackage({ id, version: '1.0.0', files })) });
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await feed.close();
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  readonly lines: readonly string[];
  readonly code: number | null;
}

/** Runs an installer, which is killed as soon as it has printed so many lines. */
function install(killAfterLines = Number.POSITIVE_INFINITY): Promise<Ended> {
  const child = spawn(process.execPath, [WRITER, folder, feed.v3Url, ...IDS], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
    if (text.split('\n').length > killAfterLines) child.kill('SIGKILL');
  });
  return new Promise((resolve) => {
    child.on('close', (code) => {
      children.delete(child);
      resolve({ lines: text.trim().split('\n'), code });
    });
  });
}

const states = () =>
  Promise.all(
    IDS.map(async (id) => {
      const state = await inspect(new PackagesFolder(folder).locate({ id, version }));
      return state.kind;
    }),
  );

describe('processes that install the same packages at the same time', { timeout: 60_000 }, () => {
  it('never fail each other', async () => {
    const all = await Promise.all([install(), install(), install()]);
    expect(all.map(({ code }) => code)).toEqual([0, 0, 0]);
    const outcomes = all.flatMap(({ lines }) => lines.filter((line) => /^(?:installed|present|failed)/.test(line)));
    expect(outcomes.filter((line) => line.startsWith('failed'))).toEqual([]);
    expect(outcomes.filter((line) => line.startsWith('installed'))).toHaveLength(IDS.length);
    expect(await states()).toEqual(IDS.map(() => 'whole'));
    for (const id of await readdir(folder)) expect(await readdir(join(folder, id))).toEqual(['1.0.0']);
  });
});

describe('a process that is killed', { timeout: 60_000 }, () => {
  it('leaves whole packages and nothing that looks like one, and the next one continues', async () => {
    const have = new Set<string>();
    for (const lines of [3, 10, 20]) {
      const { code } = await install(lines);
      for (const [i, state] of (await states()).entries()) {
        expect(['whole', 'absent']).toContain(state);
        if (state === 'whole') have.add(IDS[i] as string);
        else expect(have).not.toContain(IDS[i]);
      }
      if (code === 0) break;
    }
    feed.requests.clear();
    expect((await install()).code).toBe(0);
    expect(await states()).toEqual(IDS.map(() => 'whole'));
    const downloads = feed.requests.all().filter(({ path }) => path.endsWith('.nupkg'));
    expect(downloads).toHaveLength(IDS.length - have.size);
  });
});
