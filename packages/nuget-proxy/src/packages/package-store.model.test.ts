import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Digest } from '@granary/blobs';
import type { PackageStream } from '@granary/nuget';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { entryKey, packageKey } from './package-entry.js';
import {
  Client,
  expectBytes,
  identityOf,
  packageOf,
  quiet,
  StoreUnderTest,
  Upstream,
  until,
} from './testing/store-under-test.js';

const KIB = 1024;
const IDS = ['Contoso.A', 'Contoso.B', 'Kept.C'];
const SIZES = [KIB, 100 * KIB, 400 * KIB];

/** Of each package, bytes of several sizes, as if a source had replaced it. */
const contents = new Map(IDS.map((id) => [id, SIZES.map((size) => packageOf(id, size))]));
const bytesFor = (id: string, which: number) => contents.get(id)?.[which] as Buffer;

/** `mended` breaks off once, and is whole when it is asked for again. */
type Ending = 'whole' | 'mended' | 'truncated' | 'wrong' | 'absent' | 'failing';
const TIMES_ASKED: Partial<Record<Ending, number>> = { mended: 2, truncated: 3 };
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

interface Fetch {
  readonly do: 'fetch';
  readonly id: string;
  readonly which: number;
  readonly ending: Ending;
  readonly clients: readonly ('reads' | 'leaves' | 'releases')[];
  readonly isLengthKnown: boolean;
}

type Step =
  | Fetch
  | { readonly do: 'find'; readonly id: string }
  | { readonly do: 'adopt'; readonly id: string; readonly which: number; readonly keep: boolean }
  | { readonly do: 'remove'; readonly id: string }
  | { readonly do: 'lose'; readonly id: string; readonly what: 'blob' | 'entry' }
  | { readonly do: 'restart' };

const id = fc.constantFrom(...IDS);
const which = fc.nat(SIZES.length - 1);
const fetches: fc.Arbitrary<Fetch> = fc.record({
  do: fc.constant('fetch'),
  id,
  which,
  ending: fc.constantFrom<Ending>('whole', 'whole', 'mended', 'truncated', 'wrong', 'absent', 'failing'),
  clients: fc.array(fc.constantFrom('reads', 'reads', 'leaves', 'releases'), { minLength: 1, maxLength: 4 }),
  isLengthKnown: fc.boolean(),
});
const others: fc.Arbitrary<Step>[] = [
  fc.record({ do: fc.constant('adopt'), id, which, keep: fc.boolean() }),
  fc.record({ do: fc.constant('remove'), id }),
  fc.record({ do: fc.constant('lose'), id, what: fc.constantFrom('blob', 'entry') }),
  fc.record({ do: fc.constant('restart') }),
];
const step = fc.oneof(
  { weight: 4, arbitrary: fetches },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('find' as const), id }) },
  ...others.map((arbitrary) => ({ weight: 1, arbitrary })),
);

function answerOf(bytes: Buffer, ending: Ending, isLengthKnown: boolean, asked: number): PackageStream | undefined {
  if (ending === 'failing') throw new Error('upstream is down');
  if (ending === 'absent') return undefined;
  const sent = {
    whole: bytes,
    mended: asked === 1 ? bytes.subarray(0, bytes.length / 3) : bytes,
    truncated: bytes.subarray(0, bytes.length / 2),
    wrong: packageOf('Other', bytes.length),
  };
  const length = ending === 'wrong' ? sent.wrong.length : bytes.length;
  const upstream = new Upstream(sent[ending], length);
  upstream.send();
  return { ...upstream.answer(), length: isLengthKnown || ending === 'mended' ? length : undefined };
}

/** A store beside what it must have. */
class Modelled {
  #store: StoreUnderTest;
  /** By id: what must be found, byte for byte. */
  readonly #model = new Map<string, Buffer>();
  /** Ids of what is kept whatever the patterns say. */
  readonly #always = new Set<string>();

  private constructor(store: StoreUnderTest) {
    this.#store = store;
  }

  static async open(): Promise<Modelled> {
    const store = await StoreUnderTest.open({ keep: ['Kept.*'] });
    folders.push(store.folder);
    return new Modelled(store);
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'fetch':
        return this.#fetch(step);
      case 'find':
        return this.#find(step.id);
      case 'adopt':
        return this.#adopt(step.id, bytesFor(step.id, step.which), step.keep);
      case 'remove':
        expect(await this.#store.store.remove('feed', identityOf(step.id))).toBe(this.#model.has(step.id));
        return this.#forget(step.id);
      case 'lose':
        return this.#lose(step.id, step.what);
      case 'restart':
        await this.#store.close();
        this.#store = await StoreUnderTest.open({ keep: ['Kept.*'], folder: this.#store.folder });
    }
  }

  async check(): Promise<void> {
    const kept = [...this.#model].filter(([each]) => each.startsWith('Kept.') || this.#always.has(each));
    const bytes = kept.reduce((sum, [, { length }]) => sum + length, 0);
    expect(this.#store.kept.stats).toEqual({ packages: kept.length, bytes });
    expect(this.#store.time.pending).toBe(0);
    await until(() => this.#store.incoming().length === 0);
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #find(name: string): Promise<void> {
    const found = await this.#store.store.find('feed', identityOf(name));
    const expected = this.#model.get(name);
    expect(found === undefined).toBe(expected === undefined);
    if (found && expected) expectBytes(await new Client(found).whole, expected);
  }

  async #adopt(name: string, bytes: Buffer, keep: boolean): Promise<void> {
    const path = join(this.#store.folder, 'pushed');
    writeFileSync(path, bytes);
    await this.#store.store.adopt('feed', identityOf(name), path, { keep });
    this.#model.set(name, bytes);
    if (keep) this.#always.add(name);
  }

  async #lose(name: string, what: 'blob' | 'entry'): Promise<void> {
    const bytes = this.#model.get(name);
    if (bytes === undefined) return;
    const { store, disk } = this.#store;
    if (what === 'blob') await disk.delete(Digest.of('sha256', bytes));
    else await disk.actionResults.delete(entryKey('feed', packageKey(identityOf(name))));
    expect(await store.find('feed', identityOf(name))).toBeUndefined();
    // An entry without bytes is one all the same to who removes it.
    await store.remove('feed', identityOf(name));
    this.#forget(name);
  }

  #forget(name: string): void {
    this.#model.delete(name);
    this.#always.delete(name);
  }

  async #fetch({ id: name, which, ending, clients, isLengthKnown }: Fetch): Promise<void> {
    const { store } = this.#store;
    const upstream = bytesFor(name, which);
    const known = this.#model.get(name);
    const expected = known ?? (ending === 'whole' || ending === 'mended' ? upstream : undefined);
    let asked = 0;
    const open = async () => {
      asked++;
      return answerOf(upstream, ending, isLengthKnown, asked);
    };
    const results = await Promise.allSettled(
      clients.map(async (client) => {
        const content = await store.fetch('feed', identityOf(name), open);
        if (content === undefined) return undefined;
        if (client === 'releases') return void content.release();
        const reader = new Client(content);
        if (client === 'reads') return reader.whole;
        await until(() => reader.received > 0 || reader.stream.destroyed);
        return void reader.stream.destroy();
      }),
    );
    if (known) expect(asked).toBe(0);
    else expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThanOrEqual(TIMES_ASKED[ending] ?? 1);
    for (const result of results.filter((_, i) => clients[i] === 'reads')) {
      if (expected !== undefined) {
        expect(result.status).toBe('fulfilled');
        expectBytes((result as PromiseFulfilledResult<Buffer>).value, expected);
      } else if (ending === 'absent') expect(result).toMatchObject({ value: undefined });
      else expect(result.status).toBe('rejected');
    }
    // What nobody has read to its end is stored when somebody looks for it.
    while (store.arriving > 0) {
      (await store.find('feed', identityOf(name)))?.release();
      await quiet();
    }
    // All of what is sent here is small, so it is worth finishing.
    if (expected !== undefined) this.#model.set(name, expected);
  }
}

describe('a package store', () => {
  it('has what a model has, whatever comes, breaks off, goes away, is lost or restarted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const modelled = await Modelled.open();
        for (const each of steps) {
          await modelled.take(each);
          await modelled.check();
        }
        await modelled.close();
      }),
      { numRuns: 25 },
    );
  }, 120_000);
});
