import { SourceError } from '@granary/nuget';
import { describe, expect, it } from 'vitest';
import { warningsTo } from './source-warnings.js';

const URL = 'https://far.example/v3/index.json';

function said(sources: readonly string[], errors: readonly Error[]): readonly string[] {
  const lines: string[] = [];
  const named = sources.map((name) => ({ name }));
  const logger = warningsTo({ err: (text) => void lines.push(text) }, named);
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
});
