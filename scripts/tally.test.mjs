import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { line, readTally, sum } from './tally.mjs';

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
const counts = { numPassedTests: 3, numFailedTests: 1, numPendingTests: 2, numTodoTests: 1, testResults: [] };

describe('a tally', () => {
  it('counts what passed, failed and was skipped', () => {
    expect(readTally(report(JSON.stringify(counts)))).toEqual({ passed: 3, failed: 1, skipped: 3 });
  });

  it('counts a file that could not be loaded as failed', () => {
    const testResults = [
      { status: 'failed', assertionResults: [] },
      { status: 'failed', assertionResults: [{ status: 'failed' }] },
      { status: 'passed', assertionResults: [] },
    ];
    expect(readTally(report(JSON.stringify({ ...counts, testResults }))).failed).toBe(2);
  });

  it('counts a run without a report, or with half of one, as failed', () => {
    expect(readTally(join(folder, 'none.json'))).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(readTally(report('{"numPassedTests": 3')).failed).toBe(1);
  });

  it('is summed up and shown in one line', () => {
    const one = { passed: 2, failed: 0, skipped: 0 };
    expect(line(sum([one, one]))).toBe('4 passed, 0 failed');
    expect(line(sum([one, { passed: 0, failed: 1, skipped: 3 }]))).toBe('2 passed, 1 failed, 3 skipped');
  });
});
