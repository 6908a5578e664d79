import { NuGetVersion } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HostedUnderTest, refusal } from './testing/hosted-under-test.js';

interface Modelled {
  readonly id: string;
  readonly version: NuGetVersion;
  readonly bytes: Buffer;
  listed: boolean;
}

const ids = ['Contoso.A', 'contoso.a', 'Contoso.B', 'Other'];
const versions = ['1.0.0', '1.0', '1.0.0+meta', '1.0.0-beta', '1.0.0-BETA', '1.0.0-a.2', '2.0.0', '10.0.0', '1.0.0.4'];

const step = fc.record({
  what: fc.constantFrom('push', 'push', 'push', 'pushTwice', 'delete', 'relist', 'restart' as const),
  id: fc.constantFrom(...ids),
  version: fc.constantFrom(...versions),
});

/** What a hosted feed is, without a disk. */
class Model {
  readonly #packages = new Map<string, Modelled>();

  find(id: string, version: string): Modelled | undefined {
    return this.#packages.get(keyOf(id, NuGetVersion.parse(version)));
  }

  add(id: string, version: string, bytes: Buffer): void {
    const parsed = NuGetVersion.parse(version);
    this.#packages.set(keyOf(id, parsed), { id, version: parsed, bytes, listed: true });
  }

  versions(id: string): readonly Modelled[] {
    const all = [...this.#packages.values()].filter((each) => each.id.toLowerCase() === id.toLowerCase());
    return all.sort((a, b) => NuGetVersion.compare(a.version, b.version));
  }
}

function keyOf(id: string, version: NuGetVersion): string {
  return `${id}/${version.toNormalizedString()}`.toLowerCase();
}

describe('a hosted feed', () => {
  it('is what a map would be, whatever happens to it', { timeout: 120_000 }, async () => {
    const run = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      await using hosted = await HostedUnderTest.open();
      const model = new Model();
      for (const [i, { what, id, version }] of steps.entries()) {
        const known = model.find(id, version);
        const bytes = buildPackage({ id, version, description: `number ${i}` });
        if (what === 'restart') await hosted.restart();
        else if (what === 'delete' || what === 'relist') {
          expect(await hosted[what](id, version)).toBe(known !== undefined);
          if (known) known.listed = what === 'relist';
        } else {
          const pushes = what === 'push' ? [hosted.push(bytes)] : [hosted.push(bytes), hosted.push(bytes)];
          const outcomes = await Promise.all(
            pushes.map((push) =>
              push.then(
                () => 'taken',
                () => refusal(push),
              ),
            ),
          );
          const taken = outcomes.filter((outcome) => outcome === 'taken');
          expect(taken).toHaveLength(known ? 0 : 1);
          for (const outcome of outcomes) if (outcome !== 'taken') expect(outcome).toMatch(/^CONFLICT/);
          if (!known) model.add(id, version, bytes);
        }
        await expectSame(hosted, model);
      }
    });
    await fc.assert(run, { numRuns: 12 });
  });
});

async function expectSame(hosted: HostedUnderTest, model: Model): Promise<void> {
  for (const id of ['Contoso.A', 'Contoso.B', 'Other']) {
    const expected = model.versions(id);
    const records = (await hosted.feed.records(id))?.value ?? [];
    const said = records.map((record) => `${record.id} ${record.version} ${record.listed}`);
    expect(said).toEqual(expected.map((each) => `${each.id} ${each.version.toFullString()} ${each.listed}`));
    const normalized = expected.map(({ version }) => version.toNormalizedString().toLowerCase());
    expect((await hosted.versions(id)) ?? []).toEqual(normalized);
    for (const { version, bytes } of expected)
      expect(await hosted.bytes(id, version.toNormalizedString())).toEqual(bytes);
    for (const includePrerelease of [true, false]) {
      const visible = expected.filter(({ listed, version }) => listed && (includePrerelease || !version.isPrerelease));
      const { value } = await hosted.feed.search(`packageid:${id}`, { includePrerelease });
      const found = value.hits.map((hit) => [hit.record.version, hit.versions.map(({ version }) => version)]);
      const all = visible.map(({ version }) => version.toFullString());
      expect(found).toEqual(visible.length === 0 ? [] : [[all.at(-1), all]]);
      const completed = (await hosted.feed.autocomplete(id, { includePrerelease })).value;
      expect(completed).toEqual(visible.length === 0 ? [] : [visible.at(-1)?.id]);
    }
  }
}
