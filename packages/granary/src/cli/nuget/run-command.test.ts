import { HttpError } from '@granary/http';
import { NuGetError, SourceError } from '@granary/nuget';
import { describe, expect, it } from 'vitest';
import { explain, runCommand } from './run-command.js';

describe('an error', () => {
  it('is one line, without secrets and without what could command a terminal', () => {
    expect(explain(new Error('two\nlines of https://ann:s3cret@feed.example/\u001b[2J'))).toBe(
      'two lines of https://[redacted]@feed.example/ [2J',
    );
    expect(explain('a text')).toBe('a text');
  });

  it('says what the system said in the end', () => {
    const refused = new Error('connect ECONNREFUSED 127.0.0.1:9');
    const http = new HttpError('NETWORK', 'the connection failed', { host: 'feed', cause: refused });
    const error = new SourceError('SOURCE_UNAVAILABLE', 'feed', 'GET feed: the connection failed', { cause: http });
    expect(explain(error)).toBe(
      'feed: GET feed: the connection failed: connect ECONNREFUSED 127.0.0.1:9; check its URL with granary nuget sources, and the network',
    );
    const known = new SourceError('SOURCE_UNAVAILABLE', 'feed', refused.message, { cause: refused });
    expect(explain(known)).toBe(
      'feed: connect ECONNREFUSED 127.0.0.1:9; check its URL with granary nuget sources, and the network',
    );
    expect(explain(new SourceError('SOURCE_UNAVAILABLE', 'feed', 'answered 503'))).toMatch(
      /^feed: answered 503; check/,
    );
  });

  it.each([
    [
      new SourceError('UNAUTHORIZED', 'feed', 'no'),
      'set packageSourceCredentials in nuget.config or NuGetPackageSourceCredentials_feed in',
    ],
    [new SourceError('UNAUTHORIZED', 'my.feed', 'no'), 'set packageSourceCredentials in nuget.config; for a push'],
    [new NuGetError('FORBIDDEN', 'no'), 'an API key may be wrong'],
    [new SourceError('CONFLICT', 'feed', 'no'), '--skip-duplicate'],
    [new NuGetError('PACKAGE_NOT_FOUND', 'no'), 'granary nuget search finds ids'],
  ])('says what to do: %s', (error, hint) => {
    expect(explain(error)).toContain(`no; `);
    expect(explain(error)).toContain(hint);
  });

  it('says how a version is written where only packages can be named with one', () => {
    const error = new NuGetError('INVALID_PACKAGE_ID', '"App@1.0" is no package id');
    expect(explain(error)).toBe('"App@1.0" is no package id; a version stands by itself: ID VERSION');
    expect(explain(new NuGetError('INVALID_PACKAGE_ID', '"a b" is no package id'))).toBe('"a b" is no package id');
  });

  it('says nothing more where there is nothing to do', () => {
    expect(explain(new NuGetError('PROTOCOL', 'nonsense'))).toBe('nonsense');
    // A file that others write is no package that is there already.
    expect(explain(new NuGetError('CONFLICT', 'nuget.config has been changed'))).toBe('nuget.config has been changed');
  });
});

it('lets progress give way to what is written meanwhile, on either stream', async () => {
  let terminal = '';
  const write = (text: string) => {
    terminal += text;
  };
  const io = { out: write, err: write, environment: {}, errColumns: 60, interrupted: new AbortController().signal };
  const exitCode = await runCommand(io, async ({ out, err, progress }) => {
    const line = progress(2);
    line.start('A');
    err('a warning\n');
    line.start('A');
    out('a result\n');
    line.start('B');
    throw new Error('over');
  });
  expect(exitCode).toBe(1);
  const clear = '\r\u001b[2K';
  const bar = `${clear}[--------------------] 0/2`;
  expect(terminal).toBe(`${bar} A${clear}a warning\n${bar} A${clear}a result\n${bar} B${clear}granary: over\n`);
});
