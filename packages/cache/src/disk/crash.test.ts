import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { bytesSerializer } from '../serializers/bytes-serializer.js';
import { DiskFolder } from './disk-folder.js';
import { audit } from './testing/audit.js';
import { applyToModel, changeOf, contentOf, NAMESPACES, seedIn } from './testing/changes.js';

const ROUNDS = 6;
const MIB = 2 ** 20;
/** What was built: a plain process can't load the sources. */
const WRITER = fileURLToPath(new URL('../../dist/disk/testing/crashing-writer.js', import.meta.url));

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'granary-cache-crash-'));
  folders.push(folder);
  return folder;
}

/** What a namespace must have: from which change each key has its value, and what isn't sure. */
class Expected {
  readonly model = new Map<string, number>();
  begun = 0;
  /** The change that was begun and not acknowledged. */
  unsure: number | undefined;

  read(line: string): void {
    const [what, , number] = line.split(' ');
    if (what === 'begins') {
      this.begun++;
      this.unsure = Number(number);
    } else {
      applyToModel(this.model, changeOf(Number(number)));
      this.unsure = undefined;
    }
  }

  /** Looks at every key that was ever written, and takes over what became of the change that is not sure. */
  check(get: (key: string) => Uint8Array | undefined, mayMiss: boolean): void {
    const unsure = this.unsure === undefined ? undefined : changeOf(this.unsure);
    const possible = new Map(this.model);
    if (unsure) applyToModel(possible, unsure);
    for (const key of new Set([...this.model.keys(), ...possible.keys()])) {
      const content = get(key);
      const seed = content && seedIn(Buffer.from(content));
      if (content && seed !== undefined) expect(contentOf(key, seed).equals(content), `${key} is whole`).toBe(true);
      if (!(mayMiss && seed === undefined)) expect([this.model.get(key), possible.get(key)], key).toContain(seed);
      if (seed === undefined) this.model.delete(key);
      else this.model.set(key, seed);
    }
    this.unsure = undefined;
  }
}

/** Runs a writer and kills it at some moment after it has printed so much. */
async function writeUntilKilled(directory: string, maxBytes: number, seed: number, output: number): Promise<string[]> {
  const child = spawn(process.execPath, [WRITER, directory, String(maxBytes), String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
    if (text.length > output) setTimeout(() => child.kill('SIGKILL'), Math.random() * 5);
  });
  const signal = await new Promise((resolve) => child.on('close', (_, by) => resolve(by)));
  expect(signal).toBe('SIGKILL');
  return text.slice(0, text.lastIndexOf('\n')).split('\n');
}

describe.each([
  ['with room for everything', 256 * MIB],
  ['that is always full', MIB],
])('a process with a disk layer %s that is killed', (_, maxBytes) => {
  it('leaves what it acknowledged, whole and counted, and nothing else', { timeout: 120_000 }, async () => {
    const directory = newFolder();
    const expected = new Map(NAMESPACES.map((namespace) => [namespace as string, new Expected()]));
    for (let round = 0; round < ROUNDS; round++) {
      const output = 500 + Math.floor(Math.random() * 15_000);
      for (const line of await writeUntilKilled(directory, maxBytes, round * 1_000_003, output))
        expected.get(line.split(' ')[1] as string)?.read(line);
      const audits = new Map<string, unknown>();
      for (const namespace of NAMESPACES) audits.set(namespace, await audit(directory, namespace));
      const folder = await DiskFolder.open({ directory });
      for (const [namespace, { check }] of expected) {
        const layer = folder.layer<Uint8Array>({ namespace, maxBytes, serializer: bytesSerializer() });
        expect(layer.stats()).toEqual({ ...(audits.get(namespace) as object), maxBytes });
        expect(layer.stats().bytes).toBeLessThanOrEqual(maxBytes);
        check.call(expected.get(namespace), (key) => layer.get(key), maxBytes === MIB);
      }
      await folder.close();
      for (const namespace of NAMESPACES) expect(await audit(directory, namespace)).toEqual(audits.get(namespace));
    }
    for (const { begun } of expected.values()) expect(begun).toBeGreaterThan(ROUNDS * 10);
  });
});
