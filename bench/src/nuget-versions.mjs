// What bench/nuget-versions.mjs measures: versions as feeds have them, most of them stable, and some with labels.
import { isCompatible, NuGetFramework, NuGetVersion, VersionRange } from '@granary/nuget';
import { do_not_optimize } from 'mitata';
import { costs } from './contest.mjs';

const RELEASES = [
  '',
  '',
  '',
  '',
  '',
  '-beta1',
  '-rc.1',
  '-rc.2.23480.2',
  '-preview.7.24405.7',
  '-ci-20240115.3+sha.5114f85',
];
const TEXTS = Array.from({ length: 10_000 }, (_, i) => {
  // The steps have nothing in common with one another, nor with the number of texts: each version is another one.
  const numbers = [(i * 7) % 13, (i * 11) % 23, (i * 17) % 101];
  if (i % 10 === 0) numbers.push((i * 3) % 5);
  return `${numbers.join('.')}${RELEASES[(i * 31 + (i >> 4)) % RELEASES.length]}`;
});
const VERSIONS = TEXTS.map(NuGetVersion.parse);
/** Versions that differ only behind all of their numbers. */
const ALIKE = TEXTS.map((_, i) => NuGetVersion.parse(`8.0.0-preview.7.24405.${(i * 7919) % 10_000}`));
const FRAMEWORK = NuGetFramework.parse('net8.0');
const CANDIDATES = ['netstandard2.0', 'net472', 'net6.0', 'portable-net45+win8'].map((name) =>
  NuGetFramework.parse(name),
);

export const CONTENDERS = {
  'parse a version': () => {
    const next = inTurn(TEXTS);
    return () => do_not_optimize(NuGetVersion.parse(next()));
  },
  'compare two versions': () => comparing(VERSIONS),
  'compare two that are alike': () => comparing(ALIKE),
  'sort 10,000 versions': () => () => do_not_optimize(VERSIONS.toSorted(NuGetVersion.compare)),
  'parse a range': () => {
    const next = inTurn(['1.0.0', '[1.0.0, )', '[1.2.3, 2.0.0)', '[13.0.3]', '1.*', '(, )']);
    return () => do_not_optimize(VersionRange.parse(next()));
  },
  'find the best of 10,000': () => {
    const range = VersionRange.parse('[5.0,9.0)');
    return () => do_not_optimize(range.findBestMatch(VERSIONS));
  },
  'compatible frameworks': () => {
    const next = inTurn(CANDIDATES);
    return () => do_not_optimize(isCompatible(FRAMEWORK, next()));
  },
};

export const ROWS = [
  { row: 'reading a version', ...costs('parse a version', 1000) },
  { row: 'comparing two versions', ...costs('compare two versions', 50) },
  { row: 'comparing two that are alike', ...costs('compare two that are alike', 50) },
  { row: 'sorting 10,000 versions', unit: 'ms', atMost: 10, of: (ns) => ns['sort 10,000 versions'] / 1e6 },
];

function comparing(versions) {
  const [a, b] = [inTurn(versions), inTurn(versions)];
  b();
  return () => do_not_optimize(NuGetVersion.compare(a(), b()));
}

function inTurn(values) {
  let at = 0;
  return () => values[at++ % values.length];
}
