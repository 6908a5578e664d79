import { NuGetVersion } from '@granary/nuget';
import { ManualTime } from '@granary/resilience/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { record } from '../../http/testing/memory-feed.js';
import { SeenPackages } from './seen-packages.js';

let kept: Map<string, readonly unknown[]>;
let saves: string[];
let seen: SeenPackages;
let fails: boolean;

beforeEach(() => {
  kept = new Map();
  saves = [];
  fails = false;
  seen = open();
});

const open = (timers?: ManualTime) =>
  new SeenPackages({
    timers,
    load: async ({ key, shape }) => {
      const value = kept.get(key);
      return shape(value) ? structuredClone(value) : undefined;
    },
    save: async (key, value) => {
      if (fails) throw new Error('no room');
      saves.push(key);
      kept.set(key, structuredClone(value));
    },
  });
const ids = async (query: string, options = {}) => (await seen.search(query, options)).hits.map((hit) => hit.record.id);

describe('packages that were seen', () => {
  it('are found by every word in their id, title, description or tags, the best first', async () => {
    seen.noteRecords([record('Json', '1.0.0'), record('Json', '2.0.0', { description: 'reads' })]);
    seen.note({ id: 'Fast.Json', version: '1.0.0', title: 'A reader' });
    seen.note({ id: 'JsonTools', version: '1.0.0', tags: ['reads', 'writes'] });
    seen.note({ id: 'Other', version: '1.0.0', description: 'about JSON' });
    expect(await ids('json')).toEqual(['Json', 'JsonTools', 'Fast.Json', 'Other']);
    expect(await ids('JSON reads')).toEqual(['Json', 'JsonTools']);
    expect(await ids('json missing')).toEqual([]);
    expect(await ids('')).toEqual(['Fast.Json', 'Json', 'JsonTools', 'Other']);
    expect(await ids('packageid:json')).toEqual(['Json']);
    expect(await ids('id:"Fast.Json"')).toEqual(['Fast.Json']);
    expect(await ids('json', { skip: 1, take: 2 })).toEqual(['JsonTools', 'Fast.Json']);
    expect((await seen.search('json', { take: 1 })).total).toBe(4);
    expect((await seen.search('id:json')).hits[0]).toMatchObject({
      record: { version: '2.0.0', listed: true, description: 'reads' },
      versions: [{ version: '2.0.0', downloads: 0 }],
    });
  });

  it('are found by those who take no prereleases, whichever of their versions is the newest', async () => {
    const versions = (...texts: string[]) => texts.map(NuGetVersion.parse);
    const found = async (options = {}) =>
      (await seen.search('id:json', options)).hits.map(({ record: { version, description } }) => [
        version,
        description,
      ]);
    seen.noteVersions('Json', versions('1.0.0', '2.0.0', '3.0.0-rc.1'));
    expect(await found()).toEqual([['2.0.0', undefined]]);
    expect(await found({ includePrerelease: true })).toEqual([['3.0.0-rc.1', undefined]]);
    expect(await found({ includePrerelease: true, semVer2: false })).toEqual([['2.0.0', undefined]]);
    expect(await seen.complete('js')).toEqual(['Json']);

    seen.noteRecords([
      record('Json', '1.0.0'),
      record('Json', '2.0.0', { listed: false }),
      record('Json', '3.0.0-rc.1', { description: 'reads' }),
    ]);
    expect(await found()).toEqual([['1.0.0', 'reads']]);
    // A search that took no prereleases says nothing of them.
    seen.note({ id: 'Json', version: '2.1.0', description: 'reads and writes' });
    expect(await found()).toEqual([['2.1.0', 'reads and writes']]);
    expect(await found({ includePrerelease: true })).toEqual([['3.0.0-rc.1', 'reads and writes']]);
    // Nor a list of versions of what is listed.
    seen.noteVersions('Json', versions('1.0.0', '9.0.0'));
    expect(await found()).toEqual([['2.1.0', 'reads and writes']]);
    seen.noteRecords([record('Json', '3.0.0-rc.2', { description: 'reads' })]);
    expect(await found()).toEqual([]);
  });

  it('are known by all that is said of them at the same time', async () => {
    seen.noteRecords([
      record('Json', '1.0.0', { description: 'reads' }),
      record('Json', '2.0.0-rc', { description: 'reads' }),
    ]);
    seen.note({ id: 'JSON', version: '1.0.0' });
    const { hits } = await seen.search('reads', { includePrerelease: true });
    expect(hits.map((hit) => hit.record.version)).toEqual(['2.0.0-rc']);
    expect(await ids('reads')).toEqual(['Json']);
  });

  it('are found by those who take them', async () => {
    seen.note({ id: 'Stable', version: '1.0.0' });
    seen.note({ id: 'Beta', version: '1.0.0-beta' });
    seen.note({ id: 'Modern', version: '1.0.0-beta.1+build' });
    seen.note({ id: 'Tool', version: '1.0.0', packageTypes: ['DotnetTool'] });
    seen.note({ id: 'Broken', version: 'none' });
    expect(await ids('')).toEqual(['Stable', 'Tool']);
    expect(await ids('', { includePrerelease: true })).toEqual(['Beta', 'Modern', 'Stable', 'Tool']);
    expect(await ids('', { includePrerelease: true, semVer2: false })).toEqual(['Beta', 'Stable', 'Tool']);
    expect(await ids('', { packageType: 'dotnettool' })).toEqual(['Tool']);
    expect(await ids('', { packageType: 'Dependency' })).toEqual(['Stable']);
    expect(await seen.complete('s')).toEqual(['Stable']);
    expect(await seen.complete('', { skip: 1 })).toEqual(['Tool']);
  });

  it('are not found when none of their versions is listed', async () => {
    seen.noteRecords([record('Hidden', '1.0.0', { listed: false })]);
    expect(await ids('')).toEqual([]);
  });

  it('are not found any more when none of their versions is listed any more, until one is', async () => {
    const hidden = [record('Pulled', '1.0.0', { listed: false })];
    const versions = [NuGetVersion.parse('1.0.0')];
    seen.noteRecords([record('Pulled', '1.0.0', { description: 'it was good' })]);
    expect(await ids('')).toEqual(['Pulled']);
    seen.noteRecords(hidden);
    expect(await ids('')).toEqual([]);
    // Lists of versions have those that aren't listed, too.
    seen.noteVersions('Pulled', versions);
    expect(await ids('')).toEqual([]);
    await seen.flush();
    seen = open();
    expect(await seen.complete('pul')).toEqual([]);
    seen.note({ id: 'Pulled', version: '0.9.0' });
    expect((await seen.search('')).hits.map((hit) => hit.record.version)).toEqual(['0.9.0']);
    seen.noteVersions('Only.Listed', versions);
    seen.noteRecords([record('Only.Listed', '1.0.0', { listed: false })]);
    expect(await ids('only')).toEqual([]);
    seen.noteRecords([record('Only.Listed', '1.0.0')]);
    expect(await ids('only')).toEqual(['Only.Listed']);
    // What is said at the same time.
    seen.noteRecords([record('Only.Listed', '1.0.0', { listed: false })]);
    seen.noteVersions('Only.Listed', versions);
    expect(await ids('only')).toEqual([]);
  });

  it('survive a restart, and are written down together and only when there is something new', async () => {
    for (let i = 0; i < 1000; i++) seen.note({ id: `Package.${i}`, version: '1.0.0', description: 'x'.repeat(1000) });
    await seen.flush();
    expect(saves.length).toBeLessThanOrEqual(64);
    const before = saves.length;
    seen.note({ id: 'Package.7', version: '1.0.0' });
    seen.note({ id: 'Package.8', version: '1.0.0', description: 'x'.repeat(1000) });
    await seen.flush();
    expect(saves.length).toBe(before);
    seen = open();
    expect((await seen.search('package', { take: 5 })).total).toBe(1000);
    expect((await seen.search('id:package.7')).hits[0]?.record.description).toHaveLength(300);
  });

  it('are written down a second after the first of them, or when somebody looks for them', async () => {
    const time = new ManualTime();
    seen = open(time);
    seen.note({ id: 'A', version: '1.0.0' });
    await time.advance(900);
    seen.note({ id: 'B', version: '1.0.0' });
    expect(saves).toEqual([]);
    await time.advance(100);
    expect(saves).toHaveLength(2);
    seen.note({ id: 'C', version: '1.0.0' });
    expect(await ids('')).toEqual(['A', 'B', 'C']);
    expect(saves).toHaveLength(3);
    expect(time.pending).toBe(0);
    seen.note({ id: 'D', version: '1.0.0' });
    await time.advance(1000);
    expect(saves).toHaveLength(4);
  });

  it('are at most so many, of which the oldest go', async () => {
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 4000; i++) seen.note({ id: `P${round}.${i}`, version: '1.0.0' });
      await seen.flush();
    }
    const { total } = await seen.search('', {});
    expect(total).toBeLessThanOrEqual(64 * 256);
    expect(total).toBeGreaterThan(12_000);
    expect(await ids('id:p0.1')).toEqual([]);
    expect(await ids('id:p7.3999')).toEqual(['P7.3999']);
    // What comes faster than it can be kept is left out.
    for (let i = 0; i < 5000; i++) seen.note({ id: `Q${i}`, version: '1.0.0' });
    await seen.flush();
    expect(await ids('id:q4999')).toEqual([]);
  });

  it('that were kept by something else are forgotten', async () => {
    for (let i = 0; i < 64; i++) kept.set(`seen/${i}`, [{ id: 17 }, null]);
    seen.note({ id: 'A', version: '1.0.0' });
    expect(await ids('')).toEqual(['A']);
  });

  it('that can not be kept are not the end', async () => {
    fails = true;
    seen.note({ id: 'A', version: '1.0.0' });
    await seen.flush();
    expect(await ids('')).toEqual([]);
    fails = false;
    seen.note({ id: 'A', version: '1.0.0' });
    expect(await ids('')).toEqual(['A']);
  });
});
