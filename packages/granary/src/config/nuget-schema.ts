import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import {
  boolean,
  choice,
  choiceOfNumbers,
  duration,
  integer,
  listOf,
  optionalText,
  path,
  size,
  text,
  textList,
  timeLimit,
} from './fields.js';

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const NAME_ALLOWED = 'at most 64 of a-z, 0-9, ., _ and -, a letter or digit first; not v2, v3 or all';
/** What paths and statistics call something else. */
const RESERVED = ['v2', 'v3', 'all'];
export const URL_ALLOWED = 'http:// or https:// with a host, and without credentials, which belong into auth';
const PATTERNS_ALLOWED = 'a list of package ids, beginnings of them with a * behind (Contoso.*), or *';
const PATTERN = /^(?=.{1,100}$)[\w.-]*\*?$/;

const name = (description: string, defaultValue?: string) =>
  text(new RegExp(`^(?!(?:${RESERVED.join('|')})$)${NAME.source.slice(1)}`), NAME_ALLOWED, description, defaultValue);

const auth = z
  .strictObject({
    username: optionalText(/^[^\s:]+$/, 'a name without a colon, or empty', 'The user of Basic credentials.'),
    password_file: path('A file with the password of that user; read again when the source refuses it.'),
    token_file: path('A file with a bearer token; read again when the source refuses it.'),
    api_key_file: path(
      'A file with the API key for pushes and deletes, whoever sends them. Empty: the key that the client sends.',
    ),
  })
  .prefault({});

/** One upstream feed. */
export const nugetSourceSchema = z.strictObject({
  name: name('What the source is called: in /nuget/NAME/v3/index.json, in metrics and in logs.'),
  url: text(
    /^https?:\/\/[^\s/?#@]+(?:[/?#]\S*)?$/i,
    URL_ALLOWED,
    'Its service index (…/index.json), or the feed itself where it speaks protocol 2 alone.',
  ),
  protocol: choice(['auto', 'v2', 'v3'], 'auto', 'Its protocol. auto: as the URL says and the source confirms.'),
  auth,
  patterns: textList(
    PATTERN,
    PATTERNS_ALLOWED,
    'Packages that may come from it; the longest pattern that fits an id decides. Empty: those that no other source claims.',
  ),
  push: boolean(false, 'Whether packages may be pushed to it, and deleted from it, through this server.'),
  timeout: timeLimit('30s', 'How long a document may take, with all attempts.'),
  attempt_timeout: timeLimit(
    '10s',
    'How long the source may take to begin its answer; less than half of nuget.max_wait.',
  ),
  connect_timeout: timeLimit('5s', 'How long a connection may take to be there.'),
  idle_timeout: timeLimit('30s', 'How long an answer may stand still.'),
  download_timeout: timeLimit('15m', 'How long a package may take.'),
  retries: integer(3, 0, 10, 'How often a request that failed, or was answered with 429, is repeated.'),
  failures: integer(
    5,
    1,
    1000,
    'Failures in a row after which the source is left alone; of connections, one is enough.',
  ),
  rest: timeLimit('30s', 'How long it is left alone before it is tried again, by one request.'),
  first_rest: timeLimit(
    '1s',
    'How long it is left alone at first when it refuses connections; twice as long each time that it still does, up to rest.',
  ),
  connections: integer(64, 1, 1024, 'Requests to the source at once; more wait.'),
  rate_limit: integer(0, 0, 1_000_000, 'Most requests a second to the source; 0 is no limit.'),
  ca_file: path('Certificates in PEM that the source is checked against. Empty: those of the system.'),
  cert_file: path('Certificate chain in PEM that this server shows to the source.'),
  key_file: path('Private key in PEM that belongs to cert_file.'),
});

export type NuGetSourceConfig = z.output<typeof nugetSourceSchema>;

/** The keys of the section `nuget`. */
export const nugetKeys = {
  enabled: boolean(
    true,
    'Whether NuGet feeds are served, below /nuget/ of listen.http; they are opened when one is asked for.',
  ),
  sources: listOf(
    nugetSourceSchema,
    'a list of sources, each with its name, its url and other settings',
    'The feeds that are read through to, the preferred one first; see docs/nuget-proxy.md.',
    [{ name: 'nuget.org', url: 'https://api.nuget.org/v3/index.json' }],
  ),
  hosted: boolean(false, 'Whether there is a feed of this server for packages that are pushed to it.'),
  hosted_name: name('What that feed is called, as a source is.', 'hosted'),
  hosted_priority: choice(
    ['first', 'last'],
    'first',
    'Whether its packages win over those of the sources, or the other way.',
  ),
  hosted_patterns: textList(PATTERN, PATTERNS_ALLOWED, 'Packages that come from that feed and from no other.'),
  push_to: optionalText(
    NAME,
    'the name of a source, or empty',
    'Where packages go that are pushed to all sources as one. Empty: to the hosted feed, else to the first source with push.',
  ),
  keep: textList(PATTERN, PATTERNS_ALLOWED, 'Packages that are never evicted.'),
  keep_max_size: size('0', 'Most bytes of packages that are kept so; 0 is no limit.'),
  offline: boolean(false, 'Never ask a source: serve what is here.'),
  metadata_ttl: duration('2m', 'How long a list of versions is fresh.'),
  registrations_ttl: duration('10m', 'How long the metadata of a package is fresh.'),
  search_ttl: duration('1m', 'How long the answer to a search is fresh.'),
  not_found_ttl: duration('30s', 'How long it is believed that a source has no such package.'),
  stale_after: timeLimit('1s', 'How long a client waits for a source before it gets what is stale.'),
  max_wait: timeLimit('30s', 'How long a client waits for what was never seen.'),
  dead_upstream: choiceOfNumbers(
    [503, 404],
    503,
    'The status for what was never seen while its source can not be asked.',
  ),
  metadata_size: size('1GiB', 'Most bytes that answers of each source take on the disk, beside storage.max_size.', {
    bytes: 1024 * 1024,
    text: '1MiB',
  }),
  metadata_memory: size('64MiB', 'Most memory for answers of all sources.', { bytes: 1024 * 1024, text: '1MiB' }),
  max_package_size: size('1GiB', 'Largest package that is fetched or pushed.', { bytes: 1024, text: '1KiB' }),
  max_incoming_size: size('8GiB', 'Most bytes of packages that are being pushed, all together.', {
    bytes: 1024,
    text: '1KiB',
  }),
  public_url: optionalText(
    /^https?:\/\/[^\s/?#@]+(?:\/[^\s?#]*)?$/i,
    'http:// or https:// with a host, without credentials and query, or empty',
    'This server as clients see it, where a proxy stands before it. Empty: as the Host header says.',
  ),
};

/** Whether somebody said which feeds there are to be; those that there are by default many servers never use. */
export function namesFeeds(config: {
  readonly hosted: boolean;
  readonly sources: readonly NuGetSourceConfig[];
}): boolean {
  return config.hosted || !isDeepStrictEqual(config.sources, nugetKeys.sources.parse(undefined));
}
