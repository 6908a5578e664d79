import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readTally, sum, summary, triedAgain } from './tally.mjs';

let folder;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granary-tally-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const report = (content) => {
  const file = join(folder, 'report.json');
  writeFileSync(file, content);
  return file;
};
const tallyOf = (testResults) => readTally(report(JSON.stringify({ testResults })));
const nothing = { passed: 0, failures: [], unsteady: [], skipped: 0, broken: new Map() };
const file = join(process.cwd(), 'scripts/some.test.mjs');

describe('a tally', () => {
  it('counts what passed and was skipped, and names what failed', () => {
    const assertionResults = [
      { status: 'passed', fullName: 'one', failureMessages: [] },
      { status: 'failed', fullName: 'two', failureMessages: ['\x1b[31mexpected 2\x1b[39m\n    at two.ts:1:1'] },
      { status: 'failed', fullName: 'three' },
      { status: 'skipped', fullName: 'four' },
      { status: 'todo', fullName: 'five' },
    ];
    expect(tallyOf([{ name: file, status: 'failed', assertionResults }])).toEqual({
      ...nothing,
      passed: 1,
      failures: ['scripts/some.test.mjs > two: expected 2', 'scripts/some.test.mjs > three: '],
      skipped: 2,
    });
  });

  it('names what passed only when it was tried again', () => {
    const assertionResults = [
      { status: 'passed', fullName: 'one', failureMessages: ['expected 1\n    at one.ts:1:1'] },
    ];
    expect(tallyOf([{ name: file, status: 'passed', assertionResults }])).toEqual({
      ...nothing,
      passed: 1,
      unsteady: ['scripts/some.test.mjs > one: expected 1'],
    });
  });

  const broken = (reason) => new Map([['scripts/some.test.mjs', `scripts/some.test.mjs: ${reason}`]]);

  it.each([
    ['ended before it was loaded', { status: 'passed' }, [], 'ended before its tests did'],
    ['ended within a test', { status: 'passed' }, ['passed', 'pending'], 'ended before its tests did'],
    ['ended before it was heard of', { status: 'passed' }, ['pending', 'pending'], 'ended before its tests did'],
    ['could not be loaded', { status: 'failed', message: 'no such module\nat …' }, [], 'no such module'],
    ['has a hook that failed', { status: 'failed', message: 'timed out' }, ['skipped'], 'timed out'],
    ['has a group with such a hook', { status: 'failed', message: '' }, ['passed', 'skipped'], 'a hook failed'],
  ])('names a file that %s, and counts nothing of it', (_, result, statuses, reason) => {
    const assertionResults = statuses.map((status) => ({ status, fullName: status }));
    expect(tallyOf([{ name: file, message: '', ...result, assertionResults }])).toEqual({
      ...nothing,
      broken: broken(reason),
    });
  });

  it('of a second try has what was broken in its place, and says so', () => {
    const other = {
      name: 'other.test.mjs',
      status: 'failed',
      assertionResults: [{ status: 'failed', fullName: 'two' }],
    };
    const first = tallyOf([{ name: file, status: 'failed', message: 'timed out', assertionResults: [] }, other]);
    const failures = ['other.test.mjs > two: '];
    expect(triedAgain(first, { ...nothing, passed: 1 })).toEqual({
      ...nothing,
      passed: 1,
      failures,
      unsteady: ['scripts/some.test.mjs: timed out'],
    });
    const again = { ...nothing, broken: broken('timed out once more') };
    expect(triedAgain(first, again)).toEqual({ ...again, failures });
  });

  it('counts a run without a report, or with half of one, as failed', () => {
    const without = { ...nothing, failures: [expect.stringContaining('no report')] };
    expect(readTally(join(folder, 'none.json'))).toEqual(without);
    expect(readTally(report('{"testResults": ['))).toEqual(without);
  });

  it('is summed up and shown with what failed before the numbers', () => {
    const one = { ...nothing, passed: 2 };
    expect(summary(sum([one, one]))).toBe('4 passed, 0 failed');
    const other = { passed: 1, failures: ['a: b'], unsteady: ['c: d'], skipped: 3, broken: new Map([['e', 'e: f']]) };
    expect(summary(sum([one, other]))).toBe(
      'passed at the second try: c: d\nfailed: a: b\nfailed: e: f\n3 passed, 2 failed, 3 skipped',
    );
  });
});
