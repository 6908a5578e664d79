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

const id = fc.constantFrom(...IDS);
const which = fc.nat(SIZES.length - 1);
const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('fetch' as const),
        id,
        which,
        ending: fc.constantFrom<Ending>('whole', 'whole', 'mended', 'truncated', 'wrong', 'absent', 'failing'),
        clients: fc.array(fc.constantFrom('reads', 'reads', 'leaves', 'releases'), { minLength: 1, maxLength: 4 }),
        isLengthKnown: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('find' as const), id }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('adopt' as const), id, which, keep: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), id }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('lose' as const), id, what: fc.constantFrom('blob', 'entry') }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  ),
  { maxLength: 25 },
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

describe('a package store', () => {
  it('has what a model has, whatever comes, breaks off, goes away, is lost or restarted', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        let t = await StoreUnderTest.open({ keep: ['Kept.*'] });
        folders.push(t.folder);
        /** By id: what must be found, byte for byte. */
        const model = new Map<string, Buffer>();
        const always = new Set<string>();
        for (const step of script) {
          if (step.do === 'restart') {
            await t.close();
            t = await StoreUnderTest.open({ keep: ['Kept.*'], folder: t.folder });
          } else if (step.do === 'find') {
            const found = await t.store.find('feed', identityOf(step.id));
            const expected = model.get(step.id);
            expect(found === undefined).toBe(expected === undefined);
            if (found && expected) expectBytes(await new Client(found).whole, expected);
          } else if (step.do === 'adopt') {
            const path = join(t.folder, 'pushed');
            const bytes = bytesFor(step.id, step.which);
            writeFileSync(path, bytes);
            await t.store.adopt('feed', identityOf(step.id), path, { keep: step.keep });
            model.set(step.id, bytes);
            if (step.keep) always.add(step.id);
          } else if (step.do === 'remove') {
            expect(await t.store.remove('feed', identityOf(step.id))).toBe(model.delete(step.id));
            always.delete(step.id);
          } else if (step.do === 'lose') {
            const bytes = model.get(step.id);
            if (bytes === undefined) continue;
            const name = entryKey('feed', packageKey(identityOf(step.id)));
            if (step.what === 'blob') await t.disk.delete(Digest.of('sha256', bytes));
            else await t.disk.actionResults.delete(name);
            expect(await t.store.find('feed', identityOf(step.id))).toBeUndefined();
            // An entry without bytes is one all the same to who removes it.
            await t.store.remove('feed', identityOf(step.id));
            model.delete(step.id);
            always.delete(step.id);
          } else {
            const upstream = bytesFor(step.id, step.which);
            const expected = model.get(step.id) ?? (['whole', 'mended'].includes(step.ending) ? upstream : undefined);
            let asked = 0;
            const open = async () => {
              asked++;
              return answerOf(upstream, step.ending, step.isLengthKnown, asked);
            };
            const results = await Promise.allSettled(
              step.clients.map(async (client) => {
                const content = await t.store.fetch('feed', identityOf(step.id), open);
                if (content === undefined) return undefined;
                if (client === 'releases') return void content.release();
                const reader = new Client(content);
                if (client === 'reads') return reader.whole;
                await until(() => reader.received > 0 || reader.stream.destroyed);
                return void reader.stream.destroy();
              }),
            );
            if (model.has(step.id)) expect(asked).toBe(0);
            else expect(asked).toBeGreaterThan(0);
            expect(asked).toBeLessThanOrEqual(TIMES_ASKED[step.ending] ?? 1);
            step.clients.forEach((client, i) => {
              const result = results[i] as PromiseSettledResult<Buffer | undefined>;
              if (client !== 'reads') return;
              if (expected !== undefined) {
                expect(result.status).toBe('fulfilled');
                expectBytes((result as PromiseFulfilledResult<Buffer>).value, expected);
              } else if (step.ending === 'absent') expect(result).toMatchObject({ value: undefined });
              else expect(result.status).toBe('rejected');
            });
            // What nobody has read to its end is stored when somebody looks for it.
            while (t.store.arriving > 0) {
              (await t.store.find('feed', identityOf(step.id)))?.release();
              await quiet();
            }
            // All of what is sent here is small, so it is worth finishing.
            if (expected !== undefined) model.set(step.id, expected);
          }
          const kept = [...model].filter(([each]) => each.startsWith('Kept.') || always.has(each));
          expect(t.kept.stats).toEqual({
            packages: kept.length,
            bytes: kept.reduce((sum, [, bytes]) => sum + bytes.length, 0),
          });
          expect(t.time.pending).toBe(0);
          await until(() => t.incoming().length === 0);
        }
        await t.close();
      }),
      { numRuns: 25 },
    );
  }, 120_000);
});
