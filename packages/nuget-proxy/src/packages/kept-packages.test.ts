import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { actionResultPin, blobPin, Digest, EntryPins } from '@granary/blobs';
import { type Logger, loggerFor } from '@granary/telemetry';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { KeptPackages, type KeptPackagesOptions } from './kept-packages.js';

const root = mkdtempSync(join(tmpdir(), 'nuget-kept-'));
let folder: string;
let path: string;
let logs: string[];
let logger: Logger;
let folders = 0;

function newFolder(): void {
  folder = join(root, `${folders++}`);
  mkdirSync(folder);
  path = join(folder, 'kept');
  logs = [];
  logger = loggerFor({ write: ({ message }) => void logs.push(message) });
}

beforeEach(newFolder);
afterAll(() => rmSync(root, { recursive: true, force: true }));

const digestOf = (text: string, size = text.length) =>
  Digest.parse('sha256', Digest.of('sha256', Buffer.from(text)).hash, size);

class Opened {
  readonly kept: KeptPackages;
  readonly pins: EntryPins;

  private constructor(kept: KeptPackages, pins: EntryPins) {
    this.kept = kept;
    this.pins = pins;
  }

  static async open(patterns: readonly string[], options: Partial<KeptPackagesOptions> = {}): Promise<Opened> {
    const pins = new EntryPins();
    return new Opened(await KeptPackages.open({ path, patterns, pins, logger, ...options }), pins);
  }

  isPinned(name: string, digest: Digest): readonly [boolean, boolean] {
    return [this.pins.isPinned(actionResultPin(name)), this.pins.isPinned(blobPin(digest))];
  }
}

describe('packages that are kept', () => {
  it('are those whose ids fit a pattern, with what is written down of them', async () => {
    const { kept, pins } = await Opened.open(['Contoso.*', 'nunit']);
    expect(existsSync(path)).toBe(false);
    await kept.keep('a', 'CONTOSO.A', digestOf('a'), false);
    await kept.keep('n', 'NUnit', digestOf('nn'), false);
    expect(kept.keep('o', 'NUnit.Console', digestOf('o'), false)).toBeUndefined();
    expect(kept.stats).toEqual({ packages: 2, bytes: 3 });
    expect(pins.count).toBe(4);
    expect(kept.keep('a', 'contoso.a', digestOf('a'), false)).toBeUndefined();
    await kept.drop('a');
    expect(kept.drop('a')).toBeUndefined();
    expect(pins.count).toBe(2);
    expect(kept.stats).toEqual({ packages: 1, bytes: 2 });
    await kept.close();
  });

  it('are none without a pattern, and all with *', async () => {
    const none = await Opened.open([]);
    expect(none.kept.keep('a', 'Contoso.A', digestOf('a'), false)).toBeUndefined();
    const all = await Opened.open(['*']);
    await all.kept.keep('a', 'Contoso.A', digestOf('a'), false);
    expect(all.kept.stats.packages).toBe(1);
  });

  it('are others when a package has other bytes', async () => {
    const { kept, pins } = await Opened.open(['*']);
    await kept.keep('a', 'A', digestOf('old'), false);
    await kept.keep('a', 'A', digestOf('newer'), false);
    expect(pins.isPinned(blobPin(digestOf('old')))).toBe(false);
    expect(pins.isPinned(blobPin(digestOf('newer')))).toBe(true);
    expect(kept.stats).toEqual({ packages: 1, bytes: 5 });
  });

  it('are let go when there is no room for what took their place', async () => {
    const { kept, pins } = await Opened.open(['*'], { maxBytes: 4 });
    await kept.keep('a', 'A', digestOf('old'), false);
    await kept.keep('a', 'A', digestOf('newer'), false);
    expect([kept.stats, pins.count]).toEqual([{ packages: 0, bytes: 0 }, 0]);
  });

  it('share their bytes until the last of them is let go', async () => {
    const { kept, pins } = await Opened.open(['*']);
    await Promise.all([kept.keep('a', 'A', digestOf('same'), false), kept.keep('b', 'A', digestOf('same'), false)]);
    await kept.drop('a');
    expect(pins.isPinned(blobPin(digestOf('same')))).toBe(true);
    await kept.drop('b');
    expect(pins.count).toBe(0);
  });

  it('are no more than they may be, but for those that always are', async () => {
    const { kept } = await Opened.open(['*'], { maxPackages: 2, maxBytes: 100 });
    await kept.keep('a', 'A', digestOf('a', 40), false);
    expect(kept.keep('b', 'B', digestOf('b', 61), false)).toBeUndefined();
    await kept.keep('b', 'B', digestOf('b', 60), false);
    expect(kept.keep('c', 'C', digestOf('c', 0), false)).toBeUndefined();
    await kept.keep('d', 'D', digestOf('d', 1000), true);
    await kept.keep('d', 'D', digestOf('d2', 1001), false);
    expect(kept.stats).toEqual({ packages: 3, bytes: 1101 });
    expect(logs).toEqual(['No more packages are kept: at most 2, and 100 bytes, may be']);
    await kept.close();
    const again = await Opened.open(['*'], { maxPackages: 1 });
    expect(again.kept.stats.packages).toBe(2);
    expect(again.kept.get('d')?.always).toBe(true);
  });

  it('are always kept from when that is said', async () => {
    const { kept } = await Opened.open([]);
    await kept.keep('a', 'A', digestOf('a'), true);
    expect(kept.keep('a', 'A', digestOf('a'), true)).toBeUndefined();
    await kept.keep('a', 'A', digestOf('b'), false);
    const again = await Opened.open([]);
    expect(again.isPinned('a', digestOf('b'))).toEqual([true, true]);
    expect(again.isPinned('a', digestOf('a'))).toEqual([true, false]);
  });

  it('are told from those that only look like it', async () => {
    await expect(Opened.open([''])).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});

describe('the list of what is kept', () => {
  it('is there again after a restart, without those whose pattern is gone', async () => {
    const first = await Opened.open(['Contoso.*', 'NUnit']);
    await first.kept.keep('a', 'Contoso.A', digestOf('a'), false);
    await first.kept.keep('n', 'NUnit', digestOf('n'), false);
    await first.kept.keep('b', 'Contoso.B', digestOf('b'), false);
    await first.kept.drop('b');
    await using second = (await Opened.open(['contoso.a'])).kept;
    expect(second.stats).toEqual({ packages: 1, bytes: 1 });
    expect(second.get('a')?.digest.hash).toBe(digestOf('a').hash);
  });

  it('is not written by who only opens it', async () => {
    writeFileSync(path, 'damaged\n');
    await (await Opened.open(['*'])).kept.close();
    expect(readFileSync(path, 'utf8')).toBe('damaged\n');
  });

  it('may be damaged: what can be read counts', async () => {
    const { kept } = await Opened.open(['*']);
    await kept.keep('a', 'A', digestOf('a'), false);
    await kept.keep('b', 'B', digestOf('b'), false);
    const lines = readFileSync(path, 'utf8');
    const wrong = [
      '{"name":"x"',
      'null',
      '7',
      '{"name":5}',
      '{"name":"y","id":"Y","sha256":"zz","size":1}',
      `{"name":"y","id":"Y","sha256":"${digestOf('y').hash}","size":-1}`,
      `{"name":"y","id":"no/id","sha256":"${digestOf('y').hash}","size":1}`,
      `{"name":"y","id":7,"sha256":"${digestOf('y').hash}","size":1}`,
      '{"name":"y","id":"Y","sha256":7,"size":1}',
      '\0\0\0\0',
    ];
    writeFileSync(path, `${wrong.join('\n')}\n${lines}${'{"name":"a",'}`);
    const again = await Opened.open(['*']);
    expect(again.kept.stats.packages).toBe(2);
    expect(logs).toEqual([`${wrong.length + 1} lines of ${path} could not be read`]);
    // The first thing that is written makes it whole.
    await again.kept.keep('c', 'C', digestOf('c'), false);
    logs.length = 0;
    expect((await Opened.open(['*'])).kept.stats.packages).toBe(3);
    expect(logs).toEqual([]);
  });

  it('can be read up to where a killed process had written it', async () => {
    const { kept } = await Opened.open(['*']);
    for (const name of ['a', 'b', 'c']) await kept.keep(name, name, digestOf(name), false);
    await kept.drop('a');
    const whole = readFileSync(path);
    const ends = Array.from(whole.keys()).filter((at) => whole[at] === 10);
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      writeFileSync(`${path}.new`, whole.subarray(0, length));
      const complete = ends.filter((end) => end <= length).length;
      expect((await Opened.open(['*'])).kept.stats.packages, `${length} bytes`).toBe([0, 1, 2, 3, 2][complete]);
    }
    expect(ends).toHaveLength(4);
  });

  it('is written anew when most of it is of no use', async () => {
    const { kept } = await Opened.open(['*']);
    for (let round = 0; round < 600; round++) {
      void kept.keep('a', 'A', digestOf(`${round}`), false);
      await kept.drop('a');
    }
    await kept.keep('b', 'B', digestOf('b'), false);
    expect(readFileSync(path, 'utf8').split('\n').length).toBeLessThan(1005);
    expect((await Opened.open(['*'])).kept.stats.packages).toBe(1);
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  it('takes what comes meanwhile in one go', async () => {
    const { kept } = await Opened.open(['*']);
    const writes = Array.from({ length: 50 }, (_, i) => kept.keep(`${i}`, 'A', digestOf(`${i}`), false));
    expect(new Set(writes).size).toBe(1);
    await kept.close();
    expect((await Opened.open(['*'])).kept.stats.packages).toBe(50);
  });

  it('is behind when it can’t be written, says so, and catches up', async () => {
    const { kept, pins } = await Opened.open(['*']);
    rmSync(folder, { recursive: true });
    await expect(kept.keep('a', 'A', digestOf('a'), true)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(pins.count).toBe(2);
    await expect(kept.keep('a', 'A', digestOf('a'), true)).rejects.toMatchObject({ code: 'ENOENT' });
    await kept.close();
    mkdirSync(folder);
    await kept.keep('a', 'A', digestOf('a'), true);
    expect(kept.keep('a', 'A', digestOf('a'), true)).toBeUndefined();
    expect((await Opened.open([])).kept.stats.packages).toBe(1);
    await kept.keep('b', 'B', digestOf('b'), false);
    rmSync(folder, { recursive: true });
    const failing = kept.keep('c', 'C', digestOf('c'), false);
    const behind = kept.keep('d', 'D', digestOf('d'), false);
    await expect(failing).rejects.toThrow();
    await expect(behind).rejects.toThrow();
    mkdirSync(folder);
    await kept.drop('b');
    expect([...['a', 'b', 'c', 'd'].filter((name) => kept.get(name))]).toEqual(['a', 'c', 'd']);
    expect((await Opened.open(['*'])).kept.stats.packages).toBe(3);
  });

  it('is refused when it can’t be read', async () => {
    mkdirSync(path);
    await expect(Opened.open(['*'])).rejects.toMatchObject({ code: 'EISDIR' });
  });

  it('says what a model says, whatever is kept, let go, restarted or damaged', async () => {
    const names = ['n1', 'n2', 'n3', 'n4'];
    const name = fc.constantFrom(...names);
    const step = fc.oneof(
      fc.record({
        do: fc.constant('keep' as const),
        name,
        content: fc.constantFrom('x', 'yy', 'zzz'),
        always: fc.boolean(),
        isAwaited: fc.boolean(),
      }),
      fc.record({ do: fc.constant('drop' as const), name, isAwaited: fc.boolean() }),
      fc.record({
        do: fc.constant('restart' as const),
        patterns: fc.subarray(['n1', 'n2*', 'n3']),
        scrap: fc.option(fc.string({ maxLength: 20 })),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        newFolder();
        let patterns: readonly string[] = ['n1', 'n2*'];
        let opened = await Opened.open(patterns);
        const model = new Map<string, { readonly content: string; readonly always: boolean }>();
        const fits = (id: string) => patterns.some((pattern) => pattern.replace('*', '') === id);
        for (const each of steps) {
          if (each.do === 'restart') {
            await opened.kept.close();
            if (each.scrap !== null && existsSync(path)) appendFileSync(path, `${JSON.stringify([each.scrap])}\n{"na`);
            patterns = each.patterns;
            opened = await Opened.open(patterns);
            for (const [key, { always }] of model) if (!always && !fits(key)) model.delete(key);
            // What was let go is on the list until that is written anew.
            await opened.kept.keep('another', 'another', digestOf('another'), true);
            await opened.kept.drop('another');
          } else if (each.do === 'drop') {
            const dropped = opened.kept.drop(each.name);
            expect(dropped !== undefined).toBe(model.delete(each.name));
            if (each.isAwaited) await dropped;
          } else {
            const always = each.always || model.get(each.name)?.always === true;
            const keeping = opened.kept.keep(each.name, each.name, digestOf(each.content), each.always);
            const before = model.get(each.name);
            // One that was kept for its pattern stays so with other bytes only while that is there.
            if (always || fits(each.name)) model.set(each.name, { content: each.content, always });
            else expect(before).toBeUndefined();
            if (each.isAwaited) await keeping;
          }
          const bytes = [...model.values()].reduce((sum, { content }) => sum + content.length, 0);
          expect(opened.kept.stats).toEqual({ packages: model.size, bytes });
          for (const key of names) {
            expect(opened.pins.isPinned(actionResultPin(key))).toBe(model.has(key));
            expect(opened.kept.get(key)?.always).toBe(model.get(key)?.always);
          }
          for (const content of ['x', 'yy', 'zzz']) {
            const isKept = [...model.values()].some((value) => value.content === content);
            expect(opened.pins.isPinned(blobPin(digestOf(content)))).toBe(isKept);
          }
        }
        await opened.kept.close();
      }),
      { numRuns: 60 },
    );
  });
});
