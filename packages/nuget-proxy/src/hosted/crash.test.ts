import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { changeOf, contentOf } from './testing/changes.js';
import { HostedUnderTest } from './testing/hosted-under-test.js';

const ROUNDS = 4;
const DISK = { smallBlobBytes: 0 };
/** Changes of one run, so that each has numbers of its own. */
const RUN = 300_000;

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'granary-hosted-crash-'));
  folders.push(folder);
  return folder;
}

/** What was built: a plain process can't load the sources. */
function built(script: string): string {
  return fileURLToPath(new URL(`../../dist/hosted/testing/${script}`, import.meta.url));
}

/** What must be there: each version that was acknowledged with whether it is listed, and what was begun and not acknowledged. */
class Expected {
  readonly listed = new Map<string, boolean>();
  readonly unsure = new Map<string, string>();

  read(line: string, first: number): void {
    const [when, worker, number] = line.split(' ');
    const { what, id, version } = changeOf(Number(worker), Number(number), first);
    const name = `${id} ${version}`;
    if (when === 'begins') this.unsure.set(name, what);
    else {
      this.unsure.delete(name);
      this.listed.set(name, what !== 'delete');
    }
  }

  /** Compares with what is there, and takes over what became of what isn't sure. */
  settle(found: ReadonlyMap<string, boolean>): void {
    for (const [name, what] of this.unsure) {
      const isThere = found.get(name);
      if (what === 'push' && isThere === undefined) continue;
      expect(isThere, `${what} ${name}`).toBeDefined();
      this.listed.set(name, isThere as boolean);
    }
    this.unsure.clear();
    expect(new Map([...found].sort())).toEqual(new Map([...this.listed].sort()));
  }
}

/** Runs the writer and kills it at some moment after it has printed so much. */
async function writeUntilKilled(folder: string, first: number, output: number): Promise<string[]> {
  const child = spawn(process.execPath, [built('pushing-writer.js'), folder, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
    if (text.length > output) setTimeout(() => child.kill('SIGKILL'), Math.random() * 10);
  });
  const signal = await new Promise((resolve) => child.on('close', (_, by) => resolve(by)));
  expect(signal).toBe('SIGKILL');
  return text.slice(0, text.lastIndexOf('\n')).split('\n');
}

async function allOf(hosted: HostedUnderTest): Promise<Map<string, boolean>> {
  const found = new Map<string, boolean>();
  for (let worker = 0; worker < 4; worker++) {
    const records = await hosted.feed.records(`Contoso.${worker}`);
    for (const { id, version, listed } of records?.value ?? []) found.set(`${id} ${version}`, listed);
  }
  return found;
}

describe('a process with a hosted feed that is killed', () => {
  it('leaves all that it acknowledged, and of what it did not either all or nothing', {
    timeout: 120_000,
  }, async () => {
    const folder = newFolder();
    const expected = new Expected();
    for (let round = 0; round < ROUNDS; round++) {
      const first = round * RUN;
      const lines = await writeUntilKilled(folder, first, 300 + Math.floor(Math.random() * 3000));
      for (const line of lines) expected.read(line, first);
      const hosted = await HostedUnderTest.open({ stores: { folder, disk: DISK } });
      const found = await allOf(hosted);
      expected.settle(found);
      for (const name of found.keys()) {
        const [id, version] = name.split(' ') as [string, string];
        expect(await hosted.bytes(id, version), name).toEqual(contentOf(id, version));
      }
      // Nothing of what was interrupted takes room for ever.
      expect(hosted.t.kept.stats.packages).toBe(found.size);
      expect(hosted.t.incoming()).toEqual([]);
      await hosted.feed.close();
      await hosted.t.close();
    }
    expect(expected.listed.size).toBeGreaterThan(ROUNDS * 4);
    expect([...expected.listed.values()]).toContain(false);
  });
});
