import { z } from 'zod';
import {
  boolean,
  choice,
  duration,
  integer,
  optionalInteger,
  optionalText,
  path,
  size,
  switchable,
  text,
  textByName,
  texts,
  timeLimit,
} from './fields.js';

const MODES = ['read-through', 'write-through', 'write-behind', 'read-only'] as const;

/** What every tier has, whatever its protocol. */
const common = {
  name: text(
    /^[a-z][a-z0-9_-]{0,31}$/,
    'at most 32 of a-z, 0-9, _ and -, a letter first; different for each tier',
    'The name of the tier in metrics, traces and logs.',
  ).optional(),
  mode: choice(MODES, 'read-through', 'What is written to the tier; every tier is read.'),
  required: boolean(false, 'Whether to fail rather than to go on without the tier while it does not answer.'),
  timeout: timeLimit(
    '10s',
    'How long a request to the tier may take with all attempts; for a large blob, until it begins.',
  ),
  attempt_timeout: timeLimit('5s', 'The same for one attempt.'),
  idle_timeout: timeLimit('15s', 'How long a blob that is being sent or received may stand still.'),
  retries: integer(2, 0, 10, 'How often a request that failed is repeated, where it can be.'),
  retry: optionalInteger(0, 10, 'Another name of retries, which it wins over.'),
  circuit_breaker: switchable(['on', 'off'], 'on', 'Whether a tier that keeps failing is left alone for a while.'),
  failures: integer(5, 1, 1000, 'Failures in a row after which the tier is left alone.'),
  rest: timeLimit('10s', 'How long it is left alone before it is tried again.'),
  rate_limit: integer(0, 0, 1_000_000, 'Most requests a second to the tier; 0 is no limit.'),
};

const tls = {
  ca_file: path('Certificates in PEM that the tier is checked against. Empty: those of the system.'),
  cert_file: path('Certificate chain in PEM that this server shows to the tier.'),
  key_file: path('Private key in PEM that belongs to cert_file.'),
  server_name: optionalText(
    /^[A-Za-z0-9.-]+$/,
    'a host name, or empty',
    'The name that the certificate of the tier must have, where that is not the host.',
  ),
};

const type = <const T extends string>(value: T) => z.literal(value);

const grpc = z.strictObject({
  type: type('grpc'),
  target: text(
    /^[^\s@]+$/,
    'grpc://HOST[:PORT], grpcs://HOST[:PORT], HOST[:PORT] or unix:PATH, without credentials',
    'Where the cache is. A bare HOST:PORT is plaintext.',
  ),
  ...common,
  instance_name: optionalText(
    /^\S+$/,
    'an instance name, or empty',
    'Put in front of the instance name of every request.',
  ),
  token_file: path('A file with the bearer token for the tier; read again when it changes.'),
  headers: textByName('Sent with every call.'),
  connections: integer(2, 1, 64, 'Connections to the tier.'),
  compression: switchable(['auto', 'on', 'off'], 'auto', 'Whether blobs travel compressed with zstd.'),
  max_message_size: size('4MiB', 'Largest gRPC message that the tier takes.', { bytes: 64 * 1024, text: '64KiB' }),
  ...tls,
});

const http = z.strictObject({
  type: type('http'),
  url: text(
    /^https?:\/\/\S+$/,
    'http:// or https:// with a host, and a path where there is one',
    'What stands in front of /cas/ and /ac/. A user and a password in it are sent as Basic credentials.',
  ),
  ...common,
  username: optionalText(/^\S+$/, 'a name, or empty', 'The user of Basic credentials.'),
  password_file: path('A file with the password of that user; read at the start.'),
  token_file: path('A file with the bearer token for the tier; read again when it changes.'),
  headers: textByName('Sent with every request.'),
  connections: integer(64, 1, 1024, 'Connections to the tier.'),
  compression: switchable(['auto', 'off'], 'auto', 'Whether blobs may come compressed with zstd.'),
  forbidden_is_missing: boolean(false, 'Whether 403 means that a blob is not there, as some object stores answer.'),
  ...tls,
});

const s3 = z.strictObject({
  type: type('s3'),
  bucket: text(/^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/, 'the name of a bucket', 'The bucket.'),
  ...common,
  prefix: optionalText(/^\S+$/, 'a text, or empty', 'In front of every key, with a slash behind it.'),
  region: optionalText(
    /^[a-z0-9-]+$/,
    'a region, or empty',
    'Empty: as the AWS SDK finds it; us-east-1 with an endpoint.',
  ),
  endpoint: optionalText(
    /^https?:\/\/[^\s@]+$/,
    'http:// or https:// with a host and without credentials, or empty',
    'A store other than AWS.',
  ),
  path_style: switchable(
    ['auto', 'on', 'off'],
    'auto',
    'Whether the bucket stands in the path. auto: with an endpoint.',
  ),
  credentials_file: path(
    'A file with the access key on its first line and the secret on its second. Empty: as the AWS SDK finds them.',
  ),
  encryption: choice(
    ['none', 'sse-s3', 'kms'],
    'none',
    'How the store encrypts what it is given. none: as the bucket says.',
  ),
  kms_key_id: optionalText(
    /^\S+$/,
    'a key of KMS, or empty',
    'The key for encryption: kms. Empty: that of the account.',
  ),
  part_size: size('8MiB', 'Larger blobs are sent in parts of this size.', { bytes: 5 * 1024 * 1024, text: '5MiB' }),
  connections: integer(64, 1, 1024, 'Connections to the store.'),
  forbidden_is_missing: boolean(false, 'Whether 403 means that a blob is not there, as S3 says to who may not list.'),
  ...tls,
});

const redis = z.strictObject({
  type: type('redis'),
  urls: texts(
    /^rediss?:\/\/\S+$/,
    'a list of redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS',
    'Where Redis or Valkey is: the server, some of the nodes of a cluster, or the Sentinels of a group.',
  ),
  topology: choice(['server', 'cluster', 'sentinel'], 'server', 'What the URLs name.'),
  group: optionalText(/^\S+$/, 'a name, or empty', 'The name of the group that the Sentinels watch over.'),
  username: optionalText(/^\S+$/, 'a name, or empty', 'The user, instead of the one in the URL.'),
  password_file: path('A file with the password; read again when a connection is lost.'),
  sentinel_password_file: path('A file with the password that the Sentinels want; read at the start.'),
  prefix: text(/^\S+$/, 'a text that is not empty', 'In front of every key.', 'granary:'),
  max_blob_size: size('64KiB', 'Largest blob that is kept there; 0 keeps action results alone.'),
  ttl: duration('0', 'How long Redis keeps what is stored; 0 is for as long as it has room.'),
  ...common,
  ...tls,
});

/** One tier of the configuration. */
export const tierSchema = z.discriminatedUnion('type', [grpc, http, s3, redis]);

export type TierConfig = z.output<typeof tierSchema>;
export type GrpcTierConfig = z.output<typeof grpc>;
export type HttpTierConfig = z.output<typeof http>;
export type S3TierConfig = z.output<typeof s3>;
export type RedisTierConfig = z.output<typeof redis>;

/** The name of the tier that `backing_cache.target` stands for. */
export const BACKING_CACHE = 'backing_cache';

/** What a tier is called: by its type where it has no name. */
export function tierName(tier: TierConfig): string {
  return tier.name ?? tier.type;
}

/** All tiers, those that are written in short among them, without second names of keys. */
export function tiersOf(config: {
  readonly tiers: readonly TierConfig[];
  readonly backing_cache: { readonly target: string | undefined };
}): readonly TierConfig[] {
  const { target } = config.backing_cache;
  const tiers = config.tiers.map((tier) => ({ ...tier, retries: tier.retry ?? tier.retries }));
  if (target === undefined) return tiers;
  const shorthand = { type: 'grpc', name: BACKING_CACHE, target, mode: 'write-through' };
  return [tierSchema.parse(shorthand), ...tiers];
}
