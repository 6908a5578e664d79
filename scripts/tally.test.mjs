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
const nothing = { passed: 0, failures: [], unsteady: [], skipped: 0, unfinished: [] };
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

  it('counts a file that could not be loaded as failed', () => {
    const { failures } = tallyOf([
      { name: file, status: 'failed', message: 'no such module\nat …', assertionResults: [] },
    ]);
    expect(failures).toEqual(['scripts/some.test.mjs: no such module']);
  });

  it.each([
    ['before it was loaded', []],
    ['within a test', ['passed', 'pending']],
    ['before what it had done was heard of', ['pending', 'pending']],
  ])('counts a file whose worker ended %s as failed, and nothing of it as passed', (_, statuses) => {
    const assertionResults = statuses.map((status) => ({ status, fullName: status }));
    expect(tallyOf([{ name: file, status: 'passed', message: '', assertionResults }])).toEqual({
      ...nothing,
      failures: ['scripts/some.test.mjs: ended before its tests did'],
      unfinished: ['scripts/some.test.mjs'],
    });
  });

  it('of a second try of what was unfinished takes its place, and says so', () => {
    const first = tallyOf([
      { name: file, status: 'passed', assertionResults: [{ status: 'pending', fullName: 'one' }] },
      { name: 'other.test.mjs', status: 'failed', assertionResults: [{ status: 'failed', fullName: 'two' }] },
    ]);
    expect(triedAgain(first, { ...nothing, passed: 1 })).toEqual({
      ...nothing,
      passed: 1,
      failures: ['other.test.mjs > two: '],
      unsteady: ['scripts/some.test.mjs: ended before its tests did'],
    });
    expect(triedAgain(first, first).unfinished).toEqual(['scripts/some.test.mjs']);
  });

  it('counts a run without a report, or with half of one, as failed', () => {
    const without = { ...nothing, failures: [expect.stringContaining('no report')] };
    expect(readTally(join(folder, 'none.json'))).toEqual(without);
    expect(readTally(report('{"testResults": ['))).toEqual(without);
  });

  it('is summed up and shown with what failed before the numbers', () => {
    const one = { ...nothing, passed: 2 };
    expect(summary(sum([one, one]))).toBe('4 passed, 0 failed');
    expect(summary(sum([one, { ...nothing, passed: 1, failures: ['a: b'], unsteady: ['c: d'], skipped: 3 }]))).toBe(
      'passed at the second try: c: d\nfailed: a: b\n3 passed, 1 failed, 3 skipped',
    );
  });
});
