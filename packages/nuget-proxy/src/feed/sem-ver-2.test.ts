import { expect, it } from 'vitest';
import { record } from '../http/testing/memory-feed.js';
import { isSemVer2 } from './sem-ver-2.js';

it.each([
  ['1.0.0', false],
  ['1.0.0-a1', false],
  ['1.0.0-a.1', true],
  ['1.0.0+build', true],
])('takes a package of version %s for one that only SemVer 2 understands: %s', (version, expected) => {
  expect(isSemVer2(record('A', version))).toBe(expected);
});

it.each([
  ['(, )', false],
  ['[1.0.0-a1, )', false],
  ['[1.0.0-a.1, )', true],
  ['(, 2.0.0+x]', true],
  ['non-sense', false],
])('takes one that depends on %s for such a one: %s', (range, expected) => {
  const dependencies = [
    { id: 'B', range: '1.0.0' },
    { id: 'C', range },
  ];
  expect(isSemVer2(record('A', '1.0.0', { dependencyGroups: [{ dependencies }] }))).toBe(expected);
});
