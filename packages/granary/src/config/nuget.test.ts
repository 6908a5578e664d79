import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from './load.js';
import { ConfigError } from './mistake.js';
import { namesFeeds } from './nuget-schema.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-nuget-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function load(yaml: string) {
  const file = join(folder, 'granary.yaml');
  await writeFile(file, yaml);
  return (await loadConfig({ file })).config.nuget;
}

async function mistakes(yaml: string): Promise<string[]> {
  const error = await load(yaml).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).mistakes.map(({ key, message }) => `${key}: ${message}`);
}

const source = (name: string, more = '') => `{ name: ${name}, url: 'https://feed.example/v3/index.json'${more} }`;

describe('the section nuget', () => {
  it('reads nuget.org through, where nobody says anything else', async () => {
    expect(await load('')).toMatchObject({
      enabled: true,
      hosted: false,
      offline: false,
      sources: [
        {
          name: 'nuget.org',
          url: 'https://api.nuget.org/v3/index.json',
          protocol: 'auto',
          auth: { username: undefined, token_file: undefined },
          patterns: [],
          push: false,
          connect_timeout: 5000,
        },
      ],
      keep: [],
      metadata_ttl: 120_000,
      registrations_ttl: 600_000,
      not_found_ttl: 30_000,
      stale_after: 1000,
      dead_upstream: 503,
    });
  });

  it('says which feeds there are to be only where it names sources, or has a hosted feed', async () => {
    expect(namesFeeds(await load(''))).toBe(false);
    expect(namesFeeds(await load('nuget: { keep: [Contoso.*] }'))).toBe(false);
    expect(namesFeeds(await load('nuget: { hosted: true }'))).toBe(true);
    expect(namesFeeds(await load(`nuget: { sources: [${source('up')}] }`))).toBe(true);
  });

  it('has sources with settings of their own', async () => {
    const {
      sources,
      dead_upstream: dead,
      keep,
    } = await load(`
nuget:
  sources:
    - name: internal
      url: https://feed.example/nuget
      protocol: v2
      auth: { username: ci, password_file: /run/secrets/feed }
      patterns: [Contoso.*, Fabrikam.Core]
      push: true
      rate_limit: 20
      rest: 1m
    - ${source('nuget.org')}
  keep: ['Contoso.*']
  dead_upstream: 404
`);
    expect(sources).toMatchObject([
      {
        protocol: 'v2',
        auth: { username: 'ci', password_file: '/run/secrets/feed' },
        patterns: ['Contoso.*', 'Fabrikam.Core'],
        push: true,
        rate_limit: 20,
        rest: 60_000,
      },
      { name: 'nuget.org' },
    ]);
    expect([dead, keep]).toEqual([404, ['Contoso.*']]);
  });

  it('can be said by variables and flags', async () => {
    const { config } = await loadConfig({
      environment: {
        GRANARY_NUGET_SOURCES: '[{"name":"a","url":"http://a/v3/index.json"}]',
        GRANARY_NUGET_HOSTED: 'true',
        GRANARY_NUGET_KEEP: 'A.*,B',
      },
      flags: [
        { name: 'nuget.dead_upstream', text: '404' },
        { name: 'nuget.offline', text: undefined },
      ],
    });
    expect(config.nuget).toMatchObject({
      sources: [{ name: 'a' }],
      hosted: true,
      keep: ['A.*', 'B'],
      dead_upstream: 404,
      offline: true,
    });
  });

  it('is checked key by key, and every mistake is reported with its path', async () => {
    const found = await mistakes(`
nuget:
  sources:
    - { name: v3, url: 'https://a/' }
    - { name: Upper, url: 'https://user:secret@a/v3/index.json' }
    - { url: 'ftp://a' }
    - ${source('a', ', auth: { user: me }')}
    - ${source('b', `, patterns: ['a*b']`)}
    - ${source('c', ', retrys: 1')}
    - https://api.nuget.org/v3/index.json
  dead_upstream: 500
  keep: ['*.Core']
  public_url: https://me@packages.example/
  hosted_name: all
`);
    expect(found).toEqual([
      expect.stringMatching(/^nuget\.sources\[0\]\.name: found "v3"; allowed: at most 64 of .*not v2, v3 or all/),
      expect.stringContaining('nuget.sources[1].name: found "Upper"'),
      expect.stringMatching(/^nuget\.sources\[1\]\.url: found "https:\/\/\[redacted\]@a.*without credentials, which/),
      expect.stringContaining('nuget.sources[2].name: is missing'),
      expect.stringContaining('nuget.sources[2].url: found "ftp://a"; allowed: http:// or https://'),
      expect.stringContaining('nuget.sources[3].auth.user: there is no such key'),
      expect.stringMatching(/^nuget\.sources\[4\]\.patterns\[0\]: found "a\*b"; allowed: a list of package ids/),
      expect.stringContaining('nuget.sources[5].retrys: there is no such key; did you mean retries?'),
      expect.stringMatching(
        /^nuget\.sources\[6\]: found "https:.*"; allowed: a section with keys such as name and url$/,
      ),
      'nuget.dead_upstream: found 500; allowed: 503 or 404',
      expect.stringMatching(/^nuget\.keep: found \["\*\.Core"\]; allowed: a list of package ids/),
      expect.stringContaining('nuget.public_url: found '),
      expect.stringContaining('nuget.hosted_name: found "all"'),
    ]);
    expect(found.join()).not.toContain('secret');
  });

  it.each([
    [`sources: [${source('a')}, ${source('a')}]`, 'sources[1] has the name "a" as another source'],
    [`sources: [${source('a')}]\n  hosted: true\n  hosted_name: a`, '"a" is the name of a source, too'],
    ['sources: []', 'there is no source, and no hosted feed'],
    [`push_to: other`, 'there is no source "other"; allowed: nuget.org'],
    [`hosted: true\n  push_to: other`, 'there is no source "other"; allowed: hosted, nuget.org'],
    [`sources: [${source('a', ', cert_file: /x')}]`, 'sources[0] needs both of cert_file and key_file'],
    [
      `sources: [${source('a', ', auth: { username: u }')}]`,
      'sources[0].auth needs both of username and password_file',
    ],
    [
      `sources: [${source('a', ', auth: { username: u, password_file: /x, token_file: /y }')}]`,
      'sources[0].auth has a user and a bearer token',
    ],
    [`sources: [{ name: a, url: 'http://a:99999/' }]`, 'sources[0].url is no URL'],
    [`public_url: 'http://a:99999/'`, 'is no URL'],
  ])('refuses what makes no sense together: %s', async (yaml, message) => {
    expect(await mistakes(`nuget:\n  ${yaml}`)).toEqual([expect.stringContaining(message)]);
  });
});
