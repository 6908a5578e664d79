import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { open } from 'lmdb';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createDatabase, DATABASE_FILE } from '../lmdb/create-database.js';
import { bytesSerializer } from '../serializers/bytes-serializer.js';
import { openDiskLayer } from './disk-folder.js';
import { DiskLayer } from './disk-layer.js';
import { NamespaceDatabase } from './namespace-database.js';
import { audit } from './testing/audit.js';
import { applyTo, applyToModel, changeOf, contentOf, seedIn } from './testing/changes.js';
import { WriteQueue } from './write-queue.js';

/** Each is one transaction: of a file between two of them nothing can be said. */
const CHANGES = Array.from({ length: 90 }, (_, seed) => changeOf(seed)).filter(
  ({ operation }) => operation !== 'clearPrefix',
);
const HALF_PAGE = 2048;
/** Where the file says what was last synced: it is written when everything else has arrived. */
const SYNCED = HALF_PAGE;
const NAMESPACE = 'default';
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
const OPTIONS = { maxBytes: 2 ** 25, serializer: bytesSerializer() };

/** The file after each change, once it was synced, and from which change each key had its value then. */
interface Moment {
  readonly file: Buffer;
  readonly model: ReadonlyMap<string, number>;
}

const base = mkdtempSync(join(tmpdir(), 'granary-cache-power-'));
let moments: Moment[] = [];
let folders = 0;

function newFolder(): string {
  const folder = join(base, String(folders++));
  mkdirSync(folder);
  return folder;
}

async function record(): Promise<Moment[]> {
  const directory = newFolder();
  const recorded: Moment[] = [];
  const model = new Map<string, number>();
  const remember = () => recorded.push({ file: readFileSync(join(directory, DATABASE_FILE)), model: new Map(model) });
  await createDatabase(directory);
  remember();
  const root = open<Buffer, Buffer>({ path: directory, noSubdir: false, maxDbs: 8, ...BINARY });
  const database = new NamespaceDatabase(root.openDB({ name: NAMESPACE, ...BINARY }), OPTIONS.maxBytes);
  await root.flushed;
  remember();
  const queue = new WriteQueue(root, 2 ** 26);
  const layer = new DiskLayer<Uint8Array>(
    { ...OPTIONS, namespace: NAMESPACE },
    { entries: database, writes: queue, release: () => {} },
  );
  for (const change of CHANGES) {
    await applyTo(layer, change);
    applyToModel(model, change);
    await root.flushed;
    remember();
  }
  await layer.close();
  await root.close();
  return recorded;
}

/** The file when power was cut while it became another one: only some of what was written had arrived, in any order. */
function cutBetween(before: Buffer, after: Buffer, hasGrown: boolean, arrived: readonly boolean[]): Buffer {
  const file = Buffer.alloc(hasGrown ? after.length : before.length);
  before.copy(file);
  for (let at = 0, i = 0; at < file.length; at += HALF_PAGE) {
    const changed = !before.subarray(at, at + HALF_PAGE).equals(after.subarray(at, at + HALF_PAGE));
    if (changed && at !== SYNCED && arrived[i++ % arrived.length]) after.copy(file, at, at, at + HALF_PAGE);
  }
  return file;
}

beforeAll(async () => {
  moments = await record();
  // What LMDB does after a restart of the machine, which it knows by the number of its boot.
  vi.stubEnv('LMDB_RESTORE', 'safe');
});

afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(base, { recursive: true });
});

describe.skipIf(process.platform === 'win32')('a disk layer whose machine loses its power', () => {
  it('has what was synced before, whole and counted, whatever of a change had arrived', {
    timeout: 120_000,
  }, async () => {
    const cut = fc.record({
      moment: fc.integer({ min: 1, max: CHANGES.length + 1 }),
      hasGrown: fc.boolean(),
      arrived: fc.array(fc.boolean(), { minLength: 1, maxLength: 50 }),
    });
    await fc.assert(
      fc.asyncProperty(cut, async ({ moment, hasGrown, arrived }) => {
        const [before, after] = moments.slice(moment - 1, moment + 1) as [Moment, Moment];
        const directory = newFolder();
        writeFileSync(join(directory, DATABASE_FILE), cutBetween(before.file, after.file, hasGrown, arrived));
        const audited = await audit(directory, NAMESPACE);
        expect(audited.entries).toBe(before.model.size);
        const layer = await openDiskLayer<Uint8Array>({ directory, ...OPTIONS });
        for (const key of new Set([...before.model.keys(), ...after.model.keys()])) {
          const content = layer.get(key);
          const seed = before.model.get(key);
          expect(content && seedIn(Buffer.from(content)), key).toBe(seed);
          if (content) expect(contentOf(key, seed as number).equals(content), key).toBe(true);
        }
        expect(layer.stats()).toMatchObject(audited);
        const change = CHANGES[moment - 2];
        if (change) await applyTo(layer, change);
        await layer.close();
        expect((await audit(directory, NAMESPACE)).entries).toBe(after.model.size);
      }),
      { numRuns: 60 },
    );
  });

  it('begins with an empty database when it was not finished, and leaves nothing of it', async () => {
    const directory = newFolder();
    mkdirSync(join(directory, 'new'));
    const [start] = moments as [Moment];
    writeFileSync(join(directory, 'new', DATABASE_FILE), start.file.subarray(0, start.file.length / 2));
    writeFileSync(join(directory, DATABASE_FILE), '');
    const layer = await openDiskLayer<Uint8Array>({ directory, ...OPTIONS });
    expect(layer.stats()).toMatchObject({ entries: 0, bytes: 0 });
    await layer.set('key', Buffer.of(1));
    await layer.close();
    expect(readdirSync(directory).sort()).toEqual([DATABASE_FILE, 'lock.mdb']);
    expect((await audit(directory, NAMESPACE)).entries).toBe(1);
  });

  it('has the change when it was synced', async () => {
    const directory = newFolder();
    const { file, model } = moments.at(-1) as Moment;
    writeFileSync(join(directory, DATABASE_FILE), file);
    expect((await audit(directory, NAMESPACE)).entries).toBe(model.size);
  });
});
