import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readTally, sum, summary } from './tally.mjs';

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
const counts = { numPassedTests: 3, numPendingTests: 2, numTodoTests: 1 };
const file = join(process.cwd(), 'scripts/some.test.mjs');

describe('a tally', () => {
  it('counts what passed and was skipped, and names what failed', () => {
    const assertionResults = [
      { status: 'passed', fullName: 'one', failureMessages: [] },
      { status: 'failed', fullName: 'two', failureMessages: ['\x1b[31mexpected 2\x1b[39m\n    at two.ts:1:1'] },
      { status: 'failed', fullName: 'three' },
    ];
    const testResults = [{ name: file, status: 'failed', assertionResults }];
    expect(readTally(report(JSON.stringify({ ...counts, testResults })))).toEqual({
      passed: 3,
      failures: ['scripts/some.test.mjs > two: expected 2', 'scripts/some.test.mjs > three: '],
      unsteady: [],
      skipped: 3,
    });
  });

  it('names what passed only when it was tried again', () => {
    const assertionResults = [
      { status: 'passed', fullName: 'one', failureMessages: ['expected 1\n    at one.ts:1:1'] },
    ];
    const testResults = [{ name: file, status: 'passed', assertionResults }];
    const tally = readTally(report(JSON.stringify({ ...counts, testResults })));
    expect(tally).toMatchObject({ passed: 3, failures: [], unsteady: ['scripts/some.test.mjs > one: expected 1'] });
  });

  it('counts a file that could not be loaded as failed', () => {
    const testResults = [
      { name: file, status: 'failed', message: 'no such module\nat …', assertionResults: [] },
      { name: file, status: 'passed', message: '', assertionResults: [] },
    ];
    const { failures } = readTally(report(JSON.stringify({ ...counts, testResults })));
    expect(failures).toEqual(['scripts/some.test.mjs: no such module']);
  });

  it('counts a run without a report, or with half of one, as failed', () => {
    const without = { passed: 0, failures: [expect.stringContaining('no report')], unsteady: [], skipped: 0 };
    expect(readTally(join(folder, 'none.json'))).toEqual(without);
    expect(readTally(report('{"numPassedTests": 3'))).toEqual(without);
  });

  it('is summed up and shown with what failed before the numbers', () => {
    const one = { passed: 2, failures: [], unsteady: [], skipped: 0 };
    expect(summary(sum([one, one]))).toBe('4 passed, 0 failed');
    expect(summary(sum([one, { passed: 1, failures: ['a: b'], unsteady: ['c: d'], skipped: 3 }]))).toBe(
      'passed at the second try: c: d\nfailed: a: b\n3 passed, 1 failed, 3 skipped',
    );
  });
});
