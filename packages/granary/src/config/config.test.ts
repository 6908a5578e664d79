import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { formatAddress, isLoopback, parseAddress } from './address.js';
import { parseDuration } from './duration.js';
import { CONFIG_KEYS } from './keys.js';
import { configFrom, loadConfig } from './load.js';
import { ConfigError } from './mistake.js';
import { nearest } from './nearest.js';
import { configJsonSchema, configurationReference, exampleConfig, printConfig } from './print.js';
import { formatSize, parseSize } from './size.js';
import type { Flag } from './source.js';
import { defaultStorageDirectory } from './storage-directory.js';
import { parseYaml } from './yaml-file.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-config-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const flag = (name: string, text?: string): Flag => ({ name, text });

async function mistakesOf(load: () => unknown): Promise<string[]> {
  try {
    await load();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).mistakes.map(({ origin, key, message }) => `${origin} | ${key ?? ''} | ${message}`);
  }
  return [];
}

describe('sizes', () => {
  it.each([
    ['0', 0],
    [4096, 4096],
    ['20GiB', 20 * 2 ** 30],
    ['20 GiB', 20 * 2 ** 30],
    ['500MB', 500e6],
    ['1.5KiB', 1536],
    ['7B', 7],
    ['2TiB', 2 * 2 ** 40],
  ])('reads %s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(['', '-1', 'GiB', '1.5', '20gib', '20G', '1e9', '9007199254740992', '99999TiB', '1 2'])(
    'refuses %j',
    (text) => expect(parseSize(text)).toBeUndefined(),
  );

  it('are shown in the unit that suits', () => {
    expect([0, 1023, 1024, 1536, 20 * 2 ** 30, 3 * 2 ** 40].map(formatSize)).toEqual([
      '0 B',
      '1023 B',
      '1 KiB',
      '1.5 KiB',
      '20 GiB',
      '3 TiB',
    ]);
  });
});

describe('durations', () => {
  it.each([
    ['0', 0],
    [0, 0],
    ['30s', 30_000],
    ['250ms', 250],
    ['1h30m', 5_400_000],
    ['1.5m', 90_000],
    ['24d', 24 * 86_400_000],
  ])('reads %s', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '30', 5, 's', '-1s', '30s1h', '5m5m', '25d', '1h 30m', '1e3s'])('refuses %j', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );
});

describe('addresses', () => {
  it.each([
    ['127.0.0.1:9092', { host: '127.0.0.1', port: 9092 }],
    ['[::1]:0', { host: '::1', port: 0 }],
    ['cache.example:80', { host: 'cache.example', port: 80 }],
    [':8080', { host: '::', port: 8080 }],
  ])('reads %s', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
    expect(parseAddress(formatAddress(address))).toEqual(address);
  });

  it.each(['', '9092', 'host', 'host:', 'host:65536', '::1:9092', 'a b:1', 'http://x:1'])('refuses %j', (text) =>
    expect(parseAddress(text)).toBeUndefined(),
  );

  it('are loopback or not', () => {
    expect(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', 'localhost'].every(isLoopback)).toBe(true);
    expect(['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', 'localhost.example', '127.0.0.1.example'].some(isLoopback)).toBe(
      false,
    );
  });
});

describe('the nearest word', () => {
  it.each([
    ['storage.max_sise', 'storage.max_size'],
    ['storage.maxsize', 'storage.max_size'],
    ['listen.gprc', 'listen.grpc'],
    ['Listen.GRPC', 'listen.grpc'],
    ['shutdown.grase', 'shutdown.grace'],
    ['tls.cert', 'tls.cert_file'],
    ['telemetry.tracing', 'telemetry.tracing_endpoint'],
  ])('to %s is %s', (typed, meant) => expect(nearest(typed, CONFIG_KEYS.keys())).toBe(meant));

  it('is none when nothing is near', () => expect(nearest('completely.different', CONFIG_KEYS.keys())).toBeUndefined());

  it('is the word itself for every word', () => {
    fc.assert(fc.property(fc.constantFrom(...CONFIG_KEYS.keys()), (key) => nearest(key, CONFIG_KEYS.keys()) === key));
  });
});

describe('a configuration', () => {
  it('has defaults for everything', async () => {
    const { config } = await loadConfig();
    expect(config.listen.grpc).toEqual({ host: '127.0.0.1', port: 9092 });
    expect(config.listen.http).toEqual({ host: '127.0.0.1', port: 8080 });
    expect(config.listen.admin).toEqual({ host: '127.0.0.1', port: 9090 });
    expect(config.storage).toEqual({
      dir: undefined,
      max_size: 20 * 2 ** 30,
      min_free: 2 ** 30,
      min_age: 30_000,
      durability: 'data',
      direct_io: 16 * 2 ** 20,
    });
    expect(config.limits.max_batch_total_size).toBe(4 * 2 ** 20 - 64 * 2 ** 10);
    expect(config.cas.digest_functions).toEqual(['sha256', 'blake3']);
    expect(config.shutdown.grace).toBe(20_000);
    expect(config.telemetry.metrics_addr).toBeUndefined();
  });

  it('takes the file, then the environment, then the flags', async () => {
    const file = join(folder, 'layers.yaml');
    await writeFile(file, 'storage:\n  max_size: 1GiB\n  min_free: 1MiB\n  min_age: 5m\nac:\n  read_only: true\n');
    const { config, settings } = await loadConfig({
      file,
      environment: { GRANARY_STORAGE_MAX_SIZE: '2GiB', GRANARY_STORAGE_MIN_FREE: '2MiB', PATH: '/bin' },
      flags: [flag('storage.max_size', '3GiB')],
    });
    expect(config.storage).toMatchObject({ max_size: 3 * 2 ** 30, min_free: 2 * 2 ** 20, min_age: 300_000 });
    expect(config.ac.read_only).toBe(true);
    expect(Array.from(settings.values(), ({ key, origin }) => `${key.path} ${origin}`)).toEqual([
      'storage.max_size --storage.max_size',
      'storage.min_free GRANARY_STORAGE_MIN_FREE',
      `storage.min_age ${file}:4`,
      `ac.read_only ${file}:6`,
    ]);
  });

  it('looks at no variables that Kubernetes sets for a service called granary', async () => {
    const environment = {
      GRANARY_SERVICE_HOST: '10.0.0.7',
      GRANARY_SERVICE_PORT: '9092',
      GRANARY_SERVICE_PORT_GRPC: '9092',
      GRANARY_PORT: 'tcp://10.0.0.7:9092',
      GRANARY_PORT_9092_TCP: 'tcp://10.0.0.7:9092',
      GRANARY_PORT_9092_TCP_ADDR: '10.0.0.7',
      GRANARY_PORT_9092_TCP_PORT: '9092',
      GRANARY_PORT_9092_TCP_PROTO: 'tcp',
      GRANARY_ADMIN_SERVICE_HOST: '10.0.0.8',
      GRANARY_ADMIN_PORT: 'tcp://10.0.0.8:9090',
    };
    expect((await loadConfig({ environment })).settings.size).toBe(0);
    const mine = { GRANARY_PORT: '9092', GRANARY_LISTEN_PORT_9092: '1' };
    expect(await mistakesOf(() => loadConfig({ environment: mine }))).toHaveLength(2);
  });

  it('turns the text of variables and flags into lists, maps, numbers and booleans', async () => {
    const { config } = await loadConfig({
      environment: { GRANARY_CAS_DIGEST_FUNCTIONS: 'blake3, sha1', GRANARY_LIMITS_MAX_DIGESTS: '17' },
      flags: [
        flag('auth.rights', 'ann=admin,CN=ci=read'),
        flag('ac.read_only'),
        flag('ac.completeness_check', 'false'),
        flag('telemetry.metrics_addr', ':9100'),
      ],
    });
    expect(config.cas.digest_functions).toEqual(['blake3', 'sha1']);
    expect(config.limits.max_digests).toBe(17);
    expect(config.auth.rights).toEqual({ ann: 'admin', 'CN=ci': 'read' });
    expect(config.ac).toEqual({ read_only: true, completeness_check: false });
    expect(config.telemetry.metrics_addr).toEqual({ host: '::', port: 9100 });
  });

  it('reports every mistake of every source at once, with origin, what was found and what is allowed', async () => {
    const file = join(folder, 'wrong.yaml');
    await writeFile(
      file,
      [
        'storage:',
        '  max_sise: 1GiB',
        '  max_size: plenty',
        'lissen:',
        '  grpc: x',
        'ac: 7',
        'cas:',
        '  digest_functions: [sha256, crc32]',
        'auth:',
        '  rights: { ann: root }',
        'storage.min_free: 1GiB',
      ].join('\n'),
    );
    const mistakes = await mistakesOf(() =>
      loadConfig({
        file,
        environment: { GRANARY_STORAGE_MIN_AGE: 'soon', GRANARY_STORAG_DIR: '/x' },
        flags: [
          flag('listen.http', 'nowhere'),
          flag('listen.gprc', 'x'),
          flag('storage.dir'),
          flag('tls.key_file', 'k'),
        ],
      }),
    );
    const sizes =
      'a number of bytes, or a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 20GiB; at least 1MiB';
    for (const expected of [
      `${file}:2 | storage.max_sise | there is no such key; did you mean storage.max_size?`,
      `${file}:3 | storage.max_size | found "plenty"; allowed: ${sizes}`,
      `${file}:4 | lissen | there is no such key; did you mean listen?`,
      `${file}:6 | ac | found 7; allowed: a section with keys such as ac.read_only`,
      `${file}:8 | cas.digest_functions | found ["sha256","crc32"]; allowed: a list of at least one of sha256, blake3, sha1, md5, sha384, sha512`,
      `${file}:10 | auth.rights | found {"ann":"root"}; allowed: user names, token names or certificate subjects with none, read, write or admin each`,
      `${file}:11 | storage.min_free | stands outside of its section; write min_free below storage:`,
      'GRANARY_STORAG_DIR |  | there is no such variable; did you mean GRANARY_STORAGE_DIR?',
      'GRANARY_STORAGE_MIN_AGE | storage.min_age | found "soon"; allowed: numbers with ms, s, m, h or d, the larger unit first, up to 24 days, such as 30s or 1h30m; or 0',
      '--listen.http | listen.http | found "nowhere"; allowed: HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:9092 or [::1]:9092; or none',
      '--listen.gprc |  | there is no such flag; did you mean --listen.grpc?',
      '--storage.dir | storage.dir | has no value; allowed: a path, or empty',
      '--tls.key_file | tls.key_file | needs tls.cert_file as well',
    ])
      expect(mistakes).toContain(expected);
    expect(mistakes).toHaveLength(13);
  });

  it('takes what an alias stands for', () => {
    const { settings } = parseYaml('f', 'storage: { max_size: &size 3GiB }\nnuget: { keep_max_size: *size }\n');
    expect(settings.map(({ value }) => value)).toEqual(['3GiB', '3GiB']);
  });

  it('takes what << merges, and its own keys rather than those', async () => {
    const file = join(folder, 'merged.yaml');
    await writeFile(
      file,
      `tiers:
  - &near { type: http, name: near, url: http://near:8080, timeout: 3s }
  - { <<: *near, name: far, url: http://far:8080 }
listen: &ports { grpc: 127.0.0.1:1, http: 127.0.0.1:2 }
`,
    );
    const { tiers } = (await loadConfig({ file })).config;
    expect(tiers.map(({ name, timeout }) => [name, timeout])).toEqual([
      ['near', 3000],
      ['far', 3000],
    ]);
    const text = 'storage: &a { max_size: 2GiB, min_free: 1GiB }\nnuget:\nlimits: { max_blob_size: 1MiB, <<: [*a] }\n';
    expect(parseYaml('f', text).mistakes.map(({ origin, key }) => [origin, key])).toEqual([
      ['f:1', 'limits.max_size'],
      ['f:1', 'limits.min_free'],
    ]);
    const [first, second] = parseYaml('f', 'storage: { dir: a, <<: { dir: b, max_size: 2GiB } }\n').settings;
    expect([first?.value, second?.value]).toEqual(['a', '2GiB']);
    expect(parseYaml('f', 'ac: { <<: 5 }\n').mistakes[0]?.message).toBe('has << before what is no mapping');
    expect(parseYaml('f', 'ac: &a { <<: *a }\n').mistakes[0]?.message).toContain('aliases that name themselves');
    expect(parseYaml('f', 'storage: &s { dir: }\nac: *s\n').mistakes[0]?.key).toBe('ac.dir');
  });

  it('says what is wrong with a file that is no configuration', async () => {
    expect((await mistakesOf(() => loadConfig({ file: join(folder, 'absent.yaml') })))[0]).toContain(
      'there is no such file',
    );
    expect((await mistakesOf(() => loadConfig({ file: folder })))[0]).toContain("can't be read: it is a folder");
    expect(parseYaml('f', 'ac:\n---\nac:\n').mistakes[0]).toMatchObject({ message: 'holds a second document' });
    const latin1 = join(folder, 'latin1.yaml');
    await writeFile(latin1, Buffer.from('storage: { dir: /srv/bäume }', 'latin1'));
    expect(await mistakesOf(() => loadConfig({ file: latin1 }))).toEqual([
      `${latin1} |  | is not UTF-8; save it as that`,
    ]);
    expect(parseYaml('f', 'a: [1').mistakes[0]?.message).toContain('is not YAML');
    expect(parseYaml('f', 'ac:\n  read_only: true\n  read_only: false\n').mistakes[0]?.origin).toBe('f:3');
    expect(parseYaml('f', 'ac:\nstorage: { max_size: *size, bla: 1 }\n').mistakes).toEqual([
      { origin: 'f:2', key: undefined, message: 'is not YAML: nothing before *size has that name' },
    ]);
    expect(parseYaml('f', 'tiers: &all [ *all ]\n').mistakes[0]?.message).toContain('aliases that name themselves');
    expect(parseYaml('f', '- a\n').mistakes[0]?.message).toContain('holds ["a"]');
    expect(parseYaml('f', '')).toEqual({ settings: [], mistakes: [] });
    expect(parseYaml('f', '# nothing\n---\n')).toEqual({ settings: [], mistakes: [] });
    expect(parseYaml('f', 'storage:\n  dir:\nac:\n')).toEqual({ settings: [], mistakes: [] });
  });

  it.each([
    [{ 'listen.grpc': 'none', 'listen.http': 'none' }, 'at least one must listen'],
    [{ 'tls.cert_file': 'c' }, 'needs tls.key_file as well'],
    [{ 'tls.client_auth': 'request' }, 'needs tls.cert_file and tls.key_file'],
    [
      { 'tls.client_auth': 'require_and_verify', 'tls.cert_file': 'c', 'tls.key_file': 'k' },
      'found "require_and_verify", which needs tls.ca_file',
    ],
    [{ 'limits.max_batch_total_size': '4MiB' }, '4194304 bytes in a batch'],
    [{ 'limits.max_message_size': '1MiB' }, '(limits.max_batch_total_size); allowed: 1 to 983040'],
    [{ 'telemetry.metrics_addr': '127.0.0.1:9090' }, 'is the same address as listen.admin'],
    [{ 'telemetry.tracing_endpoint': 'http://collector.example:4318/otlp' }, 'has a path'],
    [{ 'telemetry.tracing_endpoint': 'collector.example:80' }, 'has no port, or 80'],
  ])('refuses what does not go together: %j', async (values, message) => {
    const flags = Object.entries(values).map(([name, text]) => flag(name, text));
    const mistakes = await mistakesOf(() => loadConfig({ flags }));
    expect(mistakes).toHaveLength(1);
    expect(mistakes[0]).toContain(message);
    expect(mistakes[0]).toMatch(/^--/);
  });

  it.each([
    ['trace', 'verbose'],
    ['info', 'information'],
    ['warn', 'warning'],
    ['TRACE', 'verbose'],
    ['Info', 'information'],
    ['WARN', 'warning'],
    ['Debug', 'debug'],
    ['none', 'none'],
  ])('takes the log level %s for %s, wherever it is set', async (text, level) => {
    const file = join(folder, 'level.yaml');
    await writeFile(file, `telemetry:\n  log_level: ${text}\n`);
    for (const sources of [
      { file },
      { environment: { GRANARY_TELEMETRY_LOG_LEVEL: text } },
      { flags: [flag('telemetry.log_level', text)] },
    ])
      expect((await loadConfig(sources)).config.telemetry.log_level).toBe(level);
  });

  it.each(['', 'warnings', 'off', 'constructor', '30'])('refuses the log level "%s"', async (text) => {
    expect(await mistakesOf(() => loadConfig({ flags: [flag('telemetry.log_level', text)] }))).toEqual([
      `--telemetry.log_level | telemetry.log_level | found "${text}"; allowed: verbose, debug, information, warning, error, fatal or none; also trace for verbose, info for information, warn for warning; in any case`,
    ]);
  });

  it('says where traces go and what they tell, from every source', async () => {
    const file = join(folder, 'tracing.yaml');
    const lines = [
      'telemetry:',
      '  tracing_endpoint: https://collector.example:4318/otlp',
      '  tracing_protocol: http',
      '  tracing_sample_ratio: 0.25',
      '  tracing_propagation: b3',
      '  service_name: cache-eu',
      '  resource_attributes: { shard: 3, canary: true, deployment.environment.name: production }',
    ];
    await writeFile(file, `${lines.join('\n')}\n`);
    const fromFile = (await loadConfig({ file })).config.telemetry;
    expect(fromFile).toMatchObject({
      tracing_endpoint: 'https://collector.example:4318/otlp',
      tracing_protocol: 'http',
      tracing_sample_ratio: 0.25,
      tracing_propagation: 'b3',
      service_name: 'cache-eu',
      resource_attributes: { shard: '3', canary: 'true', 'deployment.environment.name': 'production' },
    });
    const environment = {
      GRANARY_TELEMETRY_TRACING_ENDPOINT: ' collector:4317 ',
      GRANARY_TELEMETRY_TRACING_SAMPLE_RATIO: '0.01',
      GRANARY_TELEMETRY_RESOURCE_ATTRIBUTES: 'shard=3, site=eu',
    };
    expect((await loadConfig({ environment })).config.telemetry).toMatchObject({
      tracing_endpoint: 'collector:4317',
      tracing_sample_ratio: 0.01,
      resource_attributes: { shard: '3', site: 'eu' },
    });
    expect((await loadConfig()).config.telemetry).toMatchObject({
      tracing_endpoint: undefined,
      tracing_protocol: 'grpc',
      tracing_sample_ratio: 1,
      tracing_propagation: 'w3c',
      service_name: 'granary',
      resource_attributes: {},
    });
  });

  it.each([
    ['tracing_endpoint', 'collector'],
    ['tracing_endpoint', 'ftp://collector:21'],
    ['tracing_endpoint', 'http://collector:4318?token=1'],
    ['tracing_sample_ratio', '1.5'],
    ['tracing_sample_ratio', '-0.1'],
    ['tracing_sample_ratio', 'half'],
    ['tracing_protocol', 'udp'],
    ['tracing_propagation', 'jaeger'],
    ['service_name', '  '],
    ['resource_attributes', 'shard'],
    ['resource_attributes', 'query=a=b'],
  ])('refuses telemetry.%s: %s', async (key, text) => {
    const [mistake] = await mistakesOf(() => loadConfig({ flags: [flag(`telemetry.${key}`, text)] }));
    expect(mistake).toMatch(new RegExp(`^--telemetry.${key} \\| telemetry.${key} \\| found .*; allowed: `));
  });

  it.each(['http://ann:s3cret@collector:4318', 'ann:s3cret@collector:4317', 'https://s3cret@collector'])(
    'refuses credentials in the endpoint of the collector without showing them: %s',
    async (text) => {
      const mistakes = await mistakesOf(() => loadConfig({ flags: [flag('telemetry.tracing_endpoint', text)] }));
      expect(mistakes).toHaveLength(1);
      expect(mistakes[0]).toContain('without credentials');
      expect(mistakes[0]).not.toContain('s3cret');
    },
  );

  it('can be made from values, for embedding', async () => {
    expect(configFrom({ 'storage.max_size': '1GiB', 'listen.http': 'none' })).toMatchObject({
      storage: { max_size: 2 ** 30 },
      listen: { http: undefined },
    });
    expect(await mistakesOf(() => configFrom({ 'storage.max_sise': 1, 'ac.read_only': 'yes' }))).toHaveLength(2);
  });
});

describe('config print', () => {
  it('shows every key with its origin, and reads back as the same configuration', async () => {
    const loaded = await loadConfig({ flags: [flag('storage.max_size', '3GiB'), flag('auth.rights', 'ann=admin')] });
    const printed = printConfig(loaded);
    expect(printed).toContain('  max_size: 3GiB # --storage.max_size');
    expect(printed).toContain('  min_free: 1GiB # default');
    const file = join(folder, 'printed.yaml');
    await writeFile(file, printed);
    expect((await loadConfig({ file })).config).toEqual(loaded.config);
  });

  it('shows no credentials', async () => {
    const tiers = [
      { type: 'http', name: 'nginx', url: 'https://ann:pass-of-ann@cache.example/bazel', password_file: '/run/nginx' },
      { type: 'redis', name: 'shared', urls: ['redis://:pass-of-redis@redis.example:6379'] },
      { type: 'grpc', name: 'region', target: 'region.example:9092', headers: { 'x-team': 'key-of-team' } },
    ];
    const printed = printConfig(await loadConfig({ flags: [flag('tiers', JSON.stringify(tiers))] }));
    expect(printed).not.toMatch(/ann|pass-of|key-of/);
    for (const shown of ['@cache.example/bazel', '/run/nginx', '@redis.example:6379', 'region.example:9092', 'x-team'])
      expect(printed).toContain(shown);
  });
});

describe('granary.example.yaml', () => {
  const file = fileURLToPath(new URL('../../../../granary.example.yaml', import.meta.url));

  it('is current: every key, its default and its description', async () => {
    // When this fails: node scripts/generate-configuration-docs.mjs
    expect(await readFile(file, 'utf8')).toBe(exampleConfig());
  });

  it('holds every key and equals the defaults', async () => {
    const sections = parse(await readFile(file, 'utf8')) as Record<string, Record<string, unknown>>;
    const keys = Object.entries(sections).flatMap(([section, names]) =>
      Array.isArray(names) ? [section] : Object.keys(names).map((name) => `${section}.${name}`),
    );
    expect(keys).toEqual([...CONFIG_KEYS.keys()]);
    expect((await loadConfig({ file })).config).toEqual((await loadConfig()).config);
  });
});

describe('docs/configuration.md', () => {
  it('is current', async () => {
    const file = fileURLToPath(new URL('../../../../docs/configuration.md', import.meta.url));
    // When this fails: node scripts/generate-configuration-docs.mjs
    expect(await readFile(file, 'utf8')).toBe(configurationReference());
  });
});

describe('the JSON schema', () => {
  it('describes every key with its default, and requires none', () => {
    const schema = configJsonSchema() as {
      required?: string[];
      properties: Record<string, { properties: Record<string, object> }>;
    };
    expect(schema.required ?? []).toEqual([]);
    for (const key of CONFIG_KEYS.values()) {
      const section = schema.properties[key.section];
      const property = key.name ? section?.properties[key.name] : section;
      expect(property, key.path).toMatchObject({ description: key.description, default: key.defaultInput });
    }
  });
});

describe('the folder of the store', () => {
  it.each([
    ['linux', {}, '/home/ann/.cache/granary'],
    ['linux', { XDG_CACHE_HOME: '/fast' }, '/fast/granary'],
    ['linux', { XDG_CACHE_HOME: 'relative' }, '/home/ann/.cache/granary'],
    ['darwin', {}, '/home/ann/Library/Caches/granary'],
    ['win32', { LOCALAPPDATA: '/local' }, '/local/granary'],
  ] as const)('on %s with %j is %s', (platform, environment, expected) => {
    expect(defaultStorageDirectory({ platform, environment, home: () => '/home/ann' })).toBe(expected);
  });

  it.each([
    [
      'no home',
      () => {
        throw new Error('uv_os_homedir returned ENOENT');
      },
    ],
    ['an empty HOME', () => ''],
  ])('is to be named where the user has %s that it would be in', async (_, home) => {
    const place = (environment: Record<string, string>) =>
      defaultStorageDirectory({ platform: 'linux', environment, home });
    expect(await mistakesOf(() => place({}))).toEqual([
      'default | storage.dir | is not set, and the user that this runs as has no home to keep a cache in; name a folder',
    ]);
    expect(place({ XDG_CACHE_HOME: '/fast' })).toBe('/fast/granary');
  });
});
