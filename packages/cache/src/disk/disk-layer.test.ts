import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualTime } from '@granary/resilience/testing';
import fc from 'fast-check';
import { type Database, open } from 'lmdb';
import { afterEach, describe, expect, it } from 'vitest';
import { createChain } from '../chain/chain.js';
import { InvalidValueError } from '../errors.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { bytesSerializer } from '../serializers/bytes-serializer.js';
import { jsonSerializer } from '../serializers/json-serializer.js';
import { DiskFolder, openDiskLayer } from './disk-folder.js';
import type { DiskLayerOptions } from './disk-layer.js';

const MIB = 2 ** 20;
const folders: string[] = [];
const opened: { close(): Promise<void> }[] = [];

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'granary-cache-'));
  folders.push(folder);
  return folder;
}

async function openLayer<V>(directory: string, options: Partial<DiskLayerOptions<V>> = {}) {
  const layer = await openDiskLayer<V>({ directory, maxBytes: 16 * MIB, ...options });
  opened.push(layer);
  return layer;
}

async function openFolder(directory: string, maxNamespaces = 64) {
  const folder = await DiskFolder.open({ directory, maxNamespaces });
  opened.push(folder);
  return folder;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

describe('a disk layer that is opened again', () => {
  it('has its entries, and their lifetimes have gone on', async () => {
    const directory = newFolder();
    const time = new ManualTime();
    const first = await openLayer<string>(directory, { clock: time.clock });
    await first.set('for ever', 'a');
    await first.set('short', 'b', { ttlMs: 100 });
    await first.set('long', 'c', { ttlMs: 300, graceMs: 100 });
    const expiresAt = first.getEntry('long')?.expiresAt;
    await first.close();
    await time.advance(200);
    const second = await openLayer<string>(directory, { clock: time.clock });
    expect(second.get('for ever')).toBe('a');
    expect(second.getEntry('short')).toBeUndefined();
    expect(second.getEntry('long')).toEqual({ value: 'c', expiresAt });
    await time.advance(100);
    expect(second.get('long')).toBeUndefined();
    expect(second.getEntry('long')?.value).toBe('c');
  });

  it('says of what is over, but still takes its place, that it was not there to be deleted', async () => {
    const time = new ManualTime();
    const layer = await openLayer<string>(newFolder(), { clock: time.clock });
    for (const key of ['a', 'b', 'c']) await layer.set(key, key, { ttlMs: 10, graceMs: 10 });
    await time.advance(10);
    expect(await layer.delete('a')).toBe(true);
    await time.advance(10);
    expect(await layer.delete('b')).toBe(false);
    expect(await layer.deleteMany(['b', 'c'])).toBe(0);
    expect(layer.stats()).toMatchObject({ entries: 0, bytes: 0 });
  });

  it('knows what was used last', async () => {
    const directory = newFolder();
    const value = 'x'.repeat(3000);
    const first = await openLayer<string>(directory, { maxBytes: 15_000 });
    for (const key of ['a', 'b', 'c']) await first.set(key, value);
    first.get('a');
    await first.close();
    const second = await openLayer<string>(directory, { maxBytes: 15_000 });
    await second.set('d', value);
    expect([...second.getMany(['a', 'b', 'c', 'd']).keys()]).toEqual(['a', 'c', 'd']);
  });

  it('is trimmed to a bound that is smaller now', async () => {
    const directory = newFolder();
    const first = await openLayer<string>(directory);
    for (let i = 0; i < 100; i++) await first.set(`key ${i}`, 'x'.repeat(3000));
    await first.close();
    const second = await openLayer<string>(directory, { maxBytes: 50_000 });
    await second.delete('nothing');
    expect(second.stats().bytes).toBeLessThanOrEqual(50_000);
    expect(second.get('key 99')).toBeDefined();
  });
});

describe('the bound of a disk layer', () => {
  it('lets go first what is over, then what was used the longest ago', async () => {
    const time = new ManualTime();
    const layer = await openLayer<string>(newFolder(), { maxBytes: 15_000, clock: time.clock });
    const value = 'x'.repeat(3000);
    await layer.set('a', value);
    await layer.set('over', value, { ttlMs: 10, graceMs: 10 });
    await layer.set('b', value);
    await time.advance(20);
    await layer.set('c', value);
    expect([...layer.getMany(['a', 'over', 'b', 'c']).keys()]).toEqual(['a', 'b', 'c']);
    layer.get('a');
    await layer.set('d', value);
    expect([...layer.getMany(['a', 'b', 'c', 'd']).keys()]).toEqual(['a', 'c', 'd']);
  });

  it('goes by the latest uses when there were very many at once', async () => {
    const layer = await openLayer<number>(newFolder(), { maxBytes: 300_000 });
    const keys = Array.from({ length: 700 }, (_, i) => `key ${i}`);
    await layer.setMany(new Map(keys.map((key) => [key, 1])));
    expect(layer.getMany(keys.toReversed()).size).toBe(700);
    await layer.setMany(new Map(Array.from({ length: 400 }, (_, i) => [`new ${i}`, 1])));
    expect(layer.stats().entries).toBeLessThan(1100);
    expect(layer.getMany(keys.slice(0, 150)).size).toBe(150);
    expect(layer.getMany(keys.slice(300, 450)).size).toBe(0);
  });

  it('does not let in a value that is larger than everything', async () => {
    const layer = await openLayer<string>(newFolder(), { maxBytes: 10_000 });
    await layer.set('other', 'x');
    await layer.set('key', 'small');
    await layer.set('key', 'x'.repeat(20_000));
    expect(layer.get('key')).toBeUndefined();
    expect(layer.get('other')).toBe('x');
  });

  it('holds for the file, too, however much was written', async () => {
    const directory = newFolder();
    const maxBytes = 4 * MIB;
    const layer = await openLayer<Uint8Array>(directory, { maxBytes, serializer: bytesSerializer() });
    for (let i = 0; i < 3000; i++) {
      const sizes = [50, 900, 3000, 20_000] as const;
      await layer.set(`key ${i % 2000}`, Buffer.alloc(sizes[i % 4] ?? 0, i));
      expect(layer.stats().bytes).toBeLessThanOrEqual(maxBytes);
    }
    expect(layer.stats().bytes).toBeGreaterThan(maxBytes * 0.9);
    expect(statSync(join(directory, 'data.mdb')).size).toBeLessThan(2 * maxBytes);
  });

  it('does as a simple model does', async () => {
    const key = fc.integer({ min: 0, max: 7 }).map(String);
    const operation = fc.record({
      do: fc.constantFrom('set', 'set', 'get', 'delete', 'wait'),
      key,
      pages: fc.integer({ min: 1, max: 4 }),
      ttl: fc.integer({ min: 1, max: 9 }),
    });
    const layer = await openLayer<Uint8Array>(newFolder(), { serializer: bytesSerializer() });
    const charge = async (pages: number) => {
      await layer.clear();
      await layer.set('0', Buffer.alloc(pages * 4000));
      return layer.stats().bytes;
    };
    const charges = [0, await charge(1), await charge(2), await charge(3), await charge(4)] as const;
    const maxBytes = 10 * charges[1];
    await layer.close();
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
        let now = 1000;
        const directory = newFolder();
        const tested = await openLayer<Uint8Array>(directory, {
          maxBytes,
          serializer: bytesSerializer(),
          clock: () => now,
        });
        const model = new Map<string, { pages: number; mark: number; goneAt: number }>();
        const bytes = () => [...model.values()].reduce((sum, { pages }) => sum + (charges[pages] ?? 0), 0);
        for (const [mark, { do: what, key: name, pages, ttl }] of operations.entries()) {
          if (what === 'set') {
            await tested.set(name, Buffer.alloc(pages * 4000, mark), { ttlMs: ttl });
            model.delete(name);
            const room = maxBytes - (charges[pages] ?? 0);
            const over = [...model]
              .sort(([, a], [, b]) => a.goneAt - b.goneAt)
              .filter(([, { goneAt }]) => goneAt <= now);
            for (const [other] of [...over, ...model]) if (bytes() > room) model.delete(other);
            model.set(name, { pages, mark, goneAt: now + ttl });
          } else if (what === 'get') {
            const entry = model.get(name);
            const fresh = entry && now < entry.goneAt;
            expect(tested.get(name)?.[0]).toBe(fresh ? entry.mark : undefined);
            if (fresh) {
              model.delete(name);
              model.set(name, entry);
            }
          } else if (what === 'delete') {
            const entry = model.get(name);
            model.delete(name);
            expect(await tested.delete(name)).toBe(entry !== undefined && now < entry.goneAt);
          } else {
            now += ttl;
          }
          expect(tested.stats()).toEqual({ bytes: bytes(), entries: model.size, maxBytes });
        }
        await tested.close();
      }),
      { numRuns: 40 },
    );
  });

  it('holds after many times as many keys as there is room for, read and written', async () => {
    const maxBytes = MIB / 2;
    const layer = await openLayer<number>(newFolder(), { maxBytes });
    for (let i = 0; i < 20_000; i += 500) {
      const values = new Map(Array.from({ length: 500 }, (_, j) => [`key ${i + j}`, j]));
      await layer.setMany(values);
      expect(layer.getMany([...values.keys()]).size).toBe(500);
      expect(layer.stats().bytes).toBeLessThanOrEqual(maxBytes);
    }
    expect(layer.stats().bytes).toBeGreaterThan(maxBytes * 0.9);
    await layer.clear();
    expect(layer.stats()).toMatchObject({ bytes: 0, entries: 0 });
  });
});

describe('keys that begin alike', () => {
  it('are removed in several transactions, and counted, without those that are written meanwhile', async () => {
    const layer = await openLayer<string>(newFolder());
    await layer.set('other', 'x');
    const before = layer.stats();
    await layer.setMany(new Map(Array.from({ length: 1000 }, (_, i) => [`user ${i}`, 'x'.repeat(i * 5)])));
    const removed = layer.clearPrefix('user ');
    const written = ['user 1', 'user 500', 'user 999', 'user new'].map((key) => layer.set(key, 'new'));
    await Promise.all([removed, ...written]);
    const left = Array.from({ length: 1000 }, (_, i) => `user ${i}`).filter((key) => layer.get(key) !== undefined);
    expect(left).toEqual(['user 1', 'user 500', 'user 999']);
    expect(layer.get('user new')).toBe('new');
    await layer.clearPrefix('user');
    expect(layer.stats()).toEqual(before);
  });

  it('are removed even where their records are damaged, up to the moment of an abort', async () => {
    const directory = newFolder();
    await using(await openLayer<number>(directory), async (layer) => {
      await layer.setMany(
        new Map([
          ['a 1', 1],
          ['a 2', 2],
          ['b', 3],
        ]),
      );
    });
    await damage(directory, (database) => {
      for (const { key, value } of database.getRange({}))
        if (key.toString('latin1', 1) === 'a 1') database.putSync(key, flipped(value, 20));
    });
    const layer = await openLayer<number>(directory);
    const reason = new Error('nobody waits');
    await expect(layer.clearPrefix('a', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(layer.get('a 2')).toBe(2);
    await layer.clearPrefix('a');
    expect(await layer.delete('a 1')).toBe(false);
    expect([...layer.getMany(['a 1', 'a 2', 'b']).keys()]).toEqual(['b']);
  });
});

describe('a folder', () => {
  it('keeps its namespaces apart', async () => {
    const folder = await openFolder(newFolder());
    const nuget = folder.layer<string>({ namespace: 'nuget', maxBytes: MIB });
    const npm = folder.layer<string>({ namespace: 'npm', maxBytes: MIB });
    await nuget.set('key', 'of nuget');
    await npm.set('key', 'of npm');
    await npm.clear();
    expect(nuget.get('key')).toBe('of nuget');
    expect(npm.get('key')).toBeUndefined();
    expect(folder.namespaces()).toEqual(['npm', 'nuget']);
  });

  it('has no more namespaces than it may, and each but one layer at a time', async () => {
    const folder = await openFolder(newFolder(), 2);
    const first = folder.layer({ namespace: 'a', maxBytes: MIB });
    folder.layer({ namespace: 'b', maxBytes: MIB });
    expect(() => folder.layer({ namespace: 'c', maxBytes: MIB })).toThrow('namespace');
    expect(() => folder.layer({ namespace: 'a', maxBytes: MIB })).toThrow('namespace');
    expect(() => folder.layer({ namespace: 'a\n', maxBytes: MIB })).toThrow('namespace');
    await first.close();
    expect(folder.layer({ namespace: 'a', maxBytes: MIB }).namespace).toBe('a');
  });

  it('closes its layers, which then refuse to work, and may be closed twice', async () => {
    const folder = await openFolder(newFolder());
    const layer = folder.layer<number>({ maxBytes: MIB });
    const written = layer.set('key', 1);
    await Promise.all([folder.close(), layer.close(), folder.close()]);
    await written;
    expect(() => layer.get('key')).toThrow(expect.objectContaining({ code: 'CACHE_CLOSED' }));
    expect(() => layer.stats()).toThrow('closed');
    await expect(layer.set('key', 1)).rejects.toMatchObject({ code: 'CACHE_CLOSED' });
    expect(() => folder.layer({ maxBytes: MIB })).toThrow('closed');
  });

  it('refuses a file that is no database, and a folder that it cannot have', async () => {
    const directory = newFolder();
    writeFileSync(join(directory, 'data.mdb'), 'x'.repeat(10_000));
    await expect(openFolder(directory)).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
    await expect(openFolder(join(directory, 'data.mdb', 'below'))).rejects.toThrow('cannot be opened');
  });

  it.each(['maxBytes', 'maxPendingBytes', 'maxNamespaces'])('refuses a %s that makes no sense', async (option) => {
    const directory = newFolder();
    await expect(openDiskLayer({ directory, maxBytes: MIB, [option]: 0 })).rejects.toThrow(option);
    await openLayer(directory);
  });
});

describe('values that are not what was written', () => {
  it('are misses, and can be written again', async () => {
    const directory = newFolder();
    const value = 'a rather particular text '.repeat(400);
    await using(await openLayer<string>(directory), async (layer) => {
      for (const key of ['value', 'record', 'piece', 'whole']) await layer.set(key, value);
    });
    await damage(directory, (database) => {
      for (const { key, value: bytes } of database.getRange({})) {
        const isFirstPiece = key[0] === 4 && key.readDoubleBE(1) === 1 && key.readUInt32BE(9) === 0;
        if (isFirstPiece) database.putSync(key, flipped(bytes, 100));
        if (key.toString('latin1', 1) === 'record') database.putSync(key, flipped(bytes, 20));
        if (key[0] === 4 && key.readDoubleBE(1) === 3 && key.readUInt32BE(9) === 1) database.removeSync(key);
      }
    });
    const layer = await openLayer<string>(directory);
    for (const key of ['value', 'record', 'piece']) expect(layer.get(key), key).toBeUndefined();
    expect(layer.get('whole')).toBe(value);
    for (const key of ['value', 'record', 'piece']) {
      await layer.set(key, 'new');
      expect(layer.get(key)).toBe('new');
    }
  });

  it('that another serializer wrote are misses', async () => {
    const directory = newFolder();
    await using(await openLayer<number>(directory), (layer) => layer.set('key', 1));
    const layer = await openLayer<number>(directory, { serializer: jsonSerializer({ version: 16 }) });
    expect(layer.get('key')).toBeUndefined();
  });

  it('make room in the end even when nothing tells what they took', async () => {
    const directory = newFolder();
    await using(await openLayer<string>(directory, { maxBytes: 50_000 }), async (layer) => {
      for (let i = 0; i < 10; i++) await layer.set(`key ${i}`, 'x'.repeat(3000));
    });
    await damage(directory, (database) => {
      for (const { key, value } of database.getRange({})) if (key[0] === 1) database.putSync(key, flipped(value, 20));
    });
    const layer = await openLayer<string>(directory, { maxBytes: 50_000 });
    for (let i = 0; i < 20; i++) await layer.set(`new ${i}`, 'x'.repeat(3000));
    expect(layer.get('new 19')).toBeDefined();
    expect(layer.stats().entries).toBeGreaterThan(8);
  });
});

describe('a write to disk', () => {
  it('that was aborted before its turn is not made', async () => {
    const layer = await openLayer<number>(newFolder());
    const controller = new AbortController();
    const reason = new Error('nobody waits');
    const aborted = layer.set('aborted', 1, { signal: controller.signal });
    const other = layer.set('other', 2);
    controller.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    await other;
    expect(layer.get('aborted')).toBeUndefined();
    expect(layer.get('other')).toBe(2);
  });

  it('of a value that is no JSON fails, and keeps nobody else from writing', async () => {
    const disk = await openLayer<unknown>(newFolder());
    const chain = createChain({ layers: [new MemoryLayer(), disk], resilience: { breaker: { maxFailures: 2 } } });
    for (let i = 0; i < 5; i++) {
      await expect(Promise.resolve(chain.set(`key ${i}`, 1n))).rejects.toThrow(InvalidValueError);
    }
    await chain.set('key', 'value');
    expect(disk.get('key')).toBe('value');
  });

  it('waits for others to share a commit with, unless they are many or the layer is closed', async () => {
    const directory = newFolder();
    // For ever, as far as this test goes.
    const layer = await openDiskLayer<string>({ directory, maxBytes: 16 * MIB, gatherMs: 2 ** 30 });
    opened.push(layer);
    const waiting = layer.set('waits', 'a');
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(layer.get('waits')).toBeUndefined();
    const many = Array.from({ length: 300 }, (_, i) => layer.set(`key ${i}`, 'b'));
    await waiting;
    expect(layer.get('waits')).toBe('a');
    await Promise.all(many);
    const large = layer.set('large', 'x'.repeat(MIB));
    await large;
    expect(layer.get('large')).toHaveLength(MIB);
    const last = layer.set('last', 'c');
    await layer.close();
    await last;
    await using(await openLayer<string>(directory), async (again) => {
      expect(again.get('last')).toBe('c');
      expect(again.stats().entries).toBe(303);
    });
    await expect(DiskFolder.open({ directory, gatherMs: -1 })).rejects.toThrow(/gatherMs/);
  });

  it('is refused while too much waits', async () => {
    const directory = newFolder();
    const layer = await openDiskLayer<string>({ directory, maxBytes: 16 * MIB, maxPendingBytes: 10_000 });
    opened.push(layer);
    const writes = [layer.set('a', 'x'.repeat(9000)), layer.set('b', 'x'.repeat(9000)), layer.set('c', 'x')];
    expect((await Promise.allSettled(writes)).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    await expect(writes[1]).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    await layer.set('b', 'x'.repeat(90_000));
    expect(layer.get('b')).toHaveLength(90_000);
  });

  it('that cannot be made leaves the others of its transaction alone', async () => {
    const layer = await openLayer<number>(newFolder());
    const writes = [layer.set('a', 1), layer.set('x'.repeat(5000), 2), layer.set('b', 3)];
    expect((await Promise.allSettled(writes)).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    await expect(writes[1]).rejects.toMatchObject({ code: 'INVALID_KEY' });
    expect(layer.getMany(['a', 'b']).size).toBe(2);
    expect(layer.stats().entries).toBe(2);
    await expect(layer.set('key', undefined as never)).rejects.toThrow(InvalidValueError);
  });
});

it('is refused where the file beside its database cannot be opened', async () => {
  const directory = newFolder();
  await (await openLayer(directory)).close();
  const lockFile = join(directory, 'lock.mdb');
  rmSync(lockFile, { force: true });
  mkdirSync(lockFile);
  await expect(openLayer(directory)).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
  rmSync(lockFile, { recursive: true });
  await openLayer(directory);
});

describe('another process', () => {
  it('is refused while somebody has the folder, and let in afterwards', async () => {
    const directory = newFolder();
    const holder = run(`await layer.set('key', 1); console.log('ready'); setInterval(() => {}, 1000);`, directory);
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    await expect(openLayer(directory)).rejects.toThrow(`in use by process ${holder.pid}`);
    holder.kill('SIGKILL');
    await new Promise((resolve) => holder.on('close', resolve));
    const layer = await openLayer<number>(directory);
    expect(layer.get('key')).toBe(1);
    await expect(openLayer(directory)).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
    await layer.close();
    expect((await openLayer<number>(directory)).get('key')).toBe(1);
  });

  it('is refused in a folder with a long name, too', async () => {
    const directory = join(newFolder(), 'x'.repeat(120));
    await openLayer(directory);
    await expect(openLayer(directory)).rejects.toThrow('in use');
  });

  it('that is killed while it writes leaves what it acknowledged, and nothing wrong', { timeout: 60_000 }, async () => {
    const directory = newFolder();
    const acknowledged = new Map<string, number>();
    for (let round = 0; round < 5; round++) {
      const child = run(
        `let i = ${round * 1_000_000}; for (;;) { i++; const key = 'key ' + (i % 50); ` +
          `await layer.set(key, [i, 'x'.repeat(i * 37 % 20000), i]); console.log(key + '=' + i); }`,
        directory,
      );
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (output.length > 1000 + round * 700) child.kill('SIGKILL');
      });
      await new Promise((resolve) => child.on('close', resolve));
      for (const line of output.slice(0, output.lastIndexOf('\n')).split('\n')) {
        const [key, i] = line.split('=') as [string, string];
        acknowledged.set(key, Number(i));
      }
      const layer = await openLayer<[number, string, number]>(directory, { maxBytes: 64 * MIB });
      for (const [key, i] of acknowledged) {
        const [first, text, last] = layer.get(key) as [number, string, number];
        // One more may have been written than was said.
        expect(first, key).toBeGreaterThanOrEqual(i);
        expect([last, text.length]).toEqual([first, (first * 37) % 20_000]);
      }
      expect(layer.stats().entries).toBeGreaterThanOrEqual(acknowledged.size);
      await layer.close();
    }
  });

  // The binding's LMDB (3.5.6) has 100 bytes for the text of a write that fails, which doesn't always fit: one time in a
  // hundred that ends the process. Nothing is lost then, as when it is killed.
  it.skipIf(process.platform === 'win32')(
    'whose disk is full fails that write, and goes on',
    { timeout: 60_000, retry: 2 },
    async () => {
      const directory = newFolder();
      const child = run(
        `process.on('SIGXFSZ', () => {}); let i = 0; let code; ` +
          `while (i < 3000 && !code) await layer.set('key ' + i, 'x'.repeat(8000)).then(() => i++, (error) => { code = error.code; }); ` +
          `let intact = 0; for (let j = 0; j < i; j++) if (layer.get('key ' + j)?.length === 8000) intact++; ` +
          `await layer.close(); console.log(JSON.stringify({ written: i, intact, code }));`,
        directory,
        'ulimit -f 8000; exec "$0" "$@"',
      );
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
      const { written, intact, code } = JSON.parse(output) as { written: number; intact: number; code: string };
      expect(written).toBeGreaterThan(100);
      expect({ intact, code }).toEqual({ intact: written, code: 'LAYER_UNAVAILABLE' });
      const layer = await openLayer<string>(directory, { maxBytes: 64 * MIB });
      expect(layer.stats().entries).toBe(written);
      expect(layer.get('key 0')).toHaveLength(8000);
    },
  );
});

/** Runs code with a layer on this folder, from what was built: a plain process can't load the sources. */
function run(code: string, directory: string, shell?: string) {
  const built = new URL('../../dist/disk/index.js', import.meta.url).href;
  const script = `import { openDiskLayer } from ${JSON.stringify(built)};
    const layer = await openDiskLayer({ directory: ${JSON.stringify(directory)}, maxBytes: ${64 * MIB} }); ${code}`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const [command, ...args] = shell ? ['sh', '-c', shell, ...node] : node;
  return spawn(command as string, args, { stdio: ['ignore', 'pipe', shell ? 'ignore' : 'inherit'] });
}

async function using<T extends { close(): Promise<void> }>(layer: T, work: (layer: T) => Promise<void>): Promise<void> {
  await work(layer);
  await layer.close();
}

async function damage(directory: string, work: (database: Database<Buffer, Buffer>) => void): Promise<void> {
  const root = open<Buffer, Buffer>({
    path: directory,
    noSubdir: false,
    maxDbs: 4,
    encoding: 'binary',
    keyEncoding: 'binary',
  });
  work(root.openDB({ name: 'default', encoding: 'binary', keyEncoding: 'binary' }));
  await root.close();
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0xff;
  return copy;
}
