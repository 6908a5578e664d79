import { SourceError } from '@granary/nuget';
import { describe, expect, it } from 'vitest';
import { warningsTo } from './source-warnings.js';

const URL = 'https://far.example/v3/index.json';

function listening(sources: readonly string[]) {
  const lines: string[] = [];
  const named = sources.map((name) => ({ name }));
  return { lines, logger: warningsTo({ err: (text) => void lines.push(text) }, named) };
}

function said(sources: readonly string[], errors: readonly Error[]): readonly string[] {
  const { lines, logger } = listening(sources);
  for (const error of errors) logger.warning('A source of several failed', error);
  return lines;
}

describe('warnings of sources that fail', () => {
  it('are one of a source that nobody answers at, which fails in one way and then in another', () => {
    const errors = ['nobody listens', 'nobody listens (4 attempts)', 'the circuit is open'].flatMap((what) => [
      new SourceError('SOURCE_UNAVAILABLE', 'far', `${URL}: ${what}`),
      new SourceError('SOURCE_UNAVAILABLE', 'farther', `${URL}: ${what}`),
    ]);
    expect(said(['near', 'far', 'farther'], errors)).toEqual([
      `granary: A source of several failed: far: ${URL}: nobody listens\n`,
      `granary: A source of several failed: farther: ${URL}: nobody listens\n`,
    ]);
  });

  it('are one of each other failure of a source', () => {
    const errors = ['a', 'b', 'a'].map((what) => new SourceError('PROTOCOL', 'far', `${what} makes no sense`));
    expect(said(['near', 'far'], errors)).toHaveLength(2);
  });

  it('are none of the only one, whose failure is that of the command', () => {
    expect(said(['far'], [new SourceError('PROTOCOL', 'far', 'nonsense')])).toEqual([]);
  });

  it('are one of a cache that can not be written to, whatever its files are called', () => {
    const { lines, logger } = listening(['near']);
    for (const [key, code] of [
      ['a', 'EACCES'],
      ['b', 'EACCES'],
      ['c', 'ENOSPC'],
    ] as const) {
      const error = Object.assign(new Error(`${code}: not allowed, open '/cache/${key}.tmp'`), { code });
      logger.warning('Could not cache {CacheKey} of {Source}', key, 'near', error);
    }
    expect(lines).toEqual([
      "granary: Could not cache a of near: EACCES: not allowed, open '/cache/a.tmp'\n",
      "granary: Could not cache c of near: ENOSPC: not allowed, open '/cache/c.tmp'\n",
    ]);
  });
});
