import { expect, it } from 'vitest';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { entrySearchResult } from './feed-entry.js';

it('keeps addresses with umlauts, however many it has seen', () => {
  const projectUrl = 'https://bücher.test/';
  const properties = new Map([['ProjectUrl', projectUrl]]);
  const entry = { id: 'A', version: NuGetVersion.parse('1.0.0'), authors: [], properties };
  const seen = new Set(Array.from({ length: 10_000 }, () => entrySearchResult(entry).projectUrl));
  expect([...seen]).toEqual([projectUrl]);
});
