import { DEFAULT_DIGEST_FUNCTIONS, DIGEST_FUNCTIONS } from '@granary/blobs';
import { LOG_LEVEL_ALIASES, LOG_LEVELS } from '@granary/telemetry';
import { z } from 'zod';
import { RIGHT_LEVELS } from '../access/rights.js';
import {
  address,
  aliasedChoice,
  boolean,
  choice,
  choiceByName,
  choices,
  collectorEndpoint,
  duration,
  integer,
  listOf,
  name,
  optionalText,
  path,
  ratio,
  size,
  switchable,
  textByName,
  timeLimit,
} from './fields.js';
import { nugetKeys } from './nuget-schema.js';
import { tierSchema } from './tier-schema.js';

const MIB = { bytes: 1024 * 1024, text: '1MiB' };
const BYTE = { bytes: 1, text: '1' };
const KIB = { bytes: 1024, text: '1KiB' };

/** A part of the file that may be left out. */
const section = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).prefault({} as never);

/**
 * Every configuration key with its default and description: the one source for parsing, `granary.example.yaml`, the
 * reference in `docs/configuration.md`, the JSON schema and the flags. Values are plain: bytes, milliseconds.
 */
export const configSchema = z.strictObject({
  listen: section({
    grpc: address('127.0.0.1:9092', 'Where Bazel and others reach the cache by gRPC; none switches it off.'),
    http: address('127.0.0.1:8080', 'Where clients reach the cache by HTTP; none switches it off.'),
    admin: address('127.0.0.1:9090', 'Where health, metrics and statistics are; none switches it off.'),
  }),
  storage: section({
    dir: path("The store's folder, for this server alone. Empty: granary in the platform's cache folder."),
    max_size: size('20GiB', 'Most bytes the store takes on the disk; the least recently used goes first.', MIB),
    min_free: size('1GiB', 'Bytes that stay free on the file system, whoever fills it; 0 does not look.'),
    min_age: duration('30s', 'What was used within this time is never evicted.'),
    durability: choice(
      ['none', 'data', 'full'],
      'data',
      'What is synced to the disk before an upload is acknowledged: nothing, its bytes and its index entry, or the name of its file too.',
    ),
    direct_io: size('16MiB', 'Uploads of this size and larger ones are written past the page cache; 0: none.'),
  }),
  limits: section({
    max_blob_size: size('8GiB', 'Largest blob that may be uploaded.', BYTE),
    max_unsized_uploads: size(
      '4GiB',
      'Room on the disk, beside storage.max_size, for HTTP uploads that do not announce their size, all together.',
    ),
    max_message_size: size(
      '4MiB',
      'Largest gRPC message; batches may be larger by their digests, at most twice as large when received.',
      KIB,
    ),
    max_batch_total_size: size(
      '4032KiB',
      'Most bytes of blobs in one batch call, as clients are told; at most limits.max_message_size.',
    ),
    max_digests: integer(131_072, 1, 10_000_000, 'Most digests in one FindMissingBlobs call.'),
    max_tree_size: size('32MiB', 'Largest Tree of an output directory that the completeness check reads.', KIB),
    max_tree_directories: integer(100_000, 1, 100_000_000, 'Most directories below one root that are followed.'),
    max_action_result_size: size(
      '4MiB',
      'Largest action result; what else clients keep under /ac/ may be as large as a blob.',
      KIB,
    ),
    max_concurrent_streams: integer(1000, 1, 2 ** 31 - 1, 'Calls at once on one gRPC connection.'),
    max_connections: integer(4096, 1, 1_000_000, 'Connections at once, for each listener.'),
    max_header_size: size('16KiB', 'Largest header of an HTTP request.', KIB),
    header_timeout: duration('30s', 'Time for a client to finish its TLS handshake or HTTP header.'),
    request_timeout: duration('1h', 'Time for a client to send a whole HTTP request; 0 is no limit.'),
    idle_timeout: duration('5m', 'How long an HTTP connection may stay open without a request.'),
    stream_idle_timeout: timeLimit(
      '5m',
      'How long a gRPC stream or an HTTP body may stand still because of its client.',
    ),
  }),
  cas: section({
    digest_functions: choices(
      DIGEST_FUNCTIONS,
      DEFAULT_DIGEST_FUNCTIONS,
      'Digest functions that clients may use, the preferred one first. 64 digits sent over HTTP are sha256, or blake3 where ' +
        'that is left out.',
    ),
  }),
  ac: section({
    read_only: boolean(false, 'Refuse every upload of an action result, whoever sends it.'),
    completeness_check: boolean(true, 'Answer an action result only while everything that it names is present.'),
  }),
  tls: section({
    cert_file: path('Certificate chain in PEM, the server first. With tls.key_file: every listener uses TLS.'),
    key_file: path('Private key in PEM that belongs to tls.cert_file.'),
    ca_file: path('Certificates in PEM that sign client certificates.'),
    client_auth: choice(
      ['none', 'request', 'require', 'verify_if_given', 'require_and_verify'],
      'none',
      'Whether clients show a certificate, and whether tls.ca_file must have signed it.',
    ),
  }),
  auth: section({
    htpasswd_file: path('Users and bcrypt hashes, as htpasswd -B writes them.'),
    tokens_file: path('Bearer tokens, one NAME:TOKEN or NAME:TOKEN:RIGHT a line.'),
    anonymous: choice(
      ['auto', 'none', 'read', 'write'],
      'auto',
      'What clients without credentials may do. auto: none when there are credentials to ask for; otherwise write on loopback and read elsewhere.',
    ),
    default_right: choice(RIGHT_LEVELS, 'write', 'Right of an identity that auth.rights does not name.'),
    rights: choiceByName(
      RIGHT_LEVELS,
      'user names, token names or certificate subjects',
      'Right of each identity. A certificate is named by its subject (CN=ci,O=Example) or its CN alone (CN=ci).',
    ),
    max_failures: integer(10, 1, 1_000_000, 'Failed attempts a minute for each client address and user.'),
  }),
  tiers: listOf(
    tierSchema,
    'a list of tiers, each with its type and settings',
    'Other caches behind this one, from fast to slow; see docs/tiers.md.',
  ),
  tiering: section({
    known_blobs: integer(
      500_000,
      0,
      50_000_000,
      'Blobs that each tier is known to have, so that it is not asked again.',
    ),
    known_for: timeLimit('10m', 'How long that is believed, at most.'),
    negative_ttl: duration('0', 'How long it is believed that no tier has an action result; 0 asks each time.'),
    write_behind_entries: integer(100_000, 1, 10_000_000, 'Most writes that wait for one tier that is written behind.'),
    write_behind_size: size(
      '4GiB',
      'Most bytes of blobs that wait so, which are not evicted; at most half of storage.max_size for all tiers together.',
      MIB,
    ),
  }),
  backing_cache: section({
    target: optionalText(
      /^[^\s@]+$/,
      'as the target of a tier of the type grpc, or empty',
      'Short for one tier of the type grpc that is written through. Empty: none.',
    ),
  }),
  nuget: section(nugetKeys),
  shutdown: section({
    grace: duration('20s', 'How long running requests may take to finish after SIGTERM.'),
  }),
  readiness: section({
    require_upstream: boolean(
      false,
      'Whether the server is ready only while its upstreams answer; otherwise it is then degraded, and serves what it has.',
    ),
  }),
  telemetry: section({
    log_level: aliasedChoice(
      LOG_LEVELS,
      LOG_LEVEL_ALIASES,
      'information',
      'Least severe records that are logged; debug logs every request.',
    ),
    log_format: choice(['auto', 'json', 'text'], 'auto', 'Lines of JSON or for people. auto: text on a terminal.'),
    metrics_addr: address('none', 'A separate listener for metrics and health; none: they are on listen.admin.'),
    profiling: switchable(
      ['auto', 'on', 'off'],
      'auto',
      'Profiles under /debug/pprof/, for who may administer. on: the heap is sampled from the start; auto: only where the listener is on loopback, and nothing is loaded before it is asked for.',
    ),
    tracing_endpoint: collectorEndpoint(
      'The OpenTelemetry collector that traces are sent to; empty switches tracing off.',
    ),
    tracing_protocol: choice(
      ['grpc', 'http'],
      'grpc',
      'How the collector is spoken to: OTLP by gRPC, or by HTTP with /v1/traces behind the endpoint.',
    ),
    tracing_sample_ratio: ratio(
      1,
      'Share of the traces that begin here which are recorded; callers that decided are followed.',
    ),
    tracing_propagation: choice(
      ['w3c', 'b3'],
      'w3c',
      'Headers that carry the trace from process to process: traceparent and tracestate, or b3.',
    ),
    service_name: name(
      'granary',
      'The name of this server in traces; OTEL_SERVICE_NAME names it where this is the default.',
    ),
    resource_attributes: textByName('What else traces say of this server; wins over OTEL_RESOURCE_ATTRIBUTES.'),
  }),
});

/** The whole configuration, every key with its value. */
export type Config = z.output<typeof configSchema>;
