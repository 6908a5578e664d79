import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from './load.js';
import { ConfigError } from './mistake.js';
import { tiersOf } from './tier-schema.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granary-tiers-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function load(yaml: string) {
  const file = join(folder, 'granary.yaml');
  await writeFile(file, yaml);
  return (await loadConfig({ file })).config;
}

async function mistakes(yaml: string): Promise<string[]> {
  const error = await load(yaml).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).mistakes.map(({ key, message }) => `${key}: ${message}`);
}

describe('tiers in the configuration', () => {
  it('are a list in the file, each with the defaults of its type', async () => {
    const config = await load(`
tiers:
  - type: grpc
    target: grpcs://cache.example:443
    mode: write-behind
    timeout: 1500ms
  - { type: grpc, name: far, target: other:9092, required: true }
`);
    expect(tiersOf(config)).toMatchObject([
      { type: 'grpc', target: 'grpcs://cache.example:443', mode: 'write-behind', timeout: 1500, required: false },
      { name: 'far', target: 'other:9092', mode: 'read-through', required: true, connections: 2, timeout: 10_000 },
    ]);
  });

  it('have the number of retries under either of its names', async () => {
    const config = await load(`
tiers:
  - { type: grpc, name: a, target: 'a:1', retry: 0 }
  - { type: http, name: b, url: 'http://b', retry: 4, retries: 1 }
  - { type: s3, bucket: bucket, retries: 1 }
  - { type: redis, urls: ['redis://c'] }
`);
    expect(tiersOf(config).map(({ retries }) => retries)).toEqual([0, 4, 1, 2]);
    expect(await mistakes("tiers: [{ type: grpc, target: 'a:1', retry: often }]")).toEqual([
      'tiers[0].retry: found "often"; allowed: a whole number from 0 to 10',
    ]);
  });

  it('have their switches as words or as true and false, which Helm makes of them', async () => {
    const config = await load(`
tiers:
  - { type: grpc, target: 'a:1', circuit_breaker: false, compression: true }
  - { type: http, url: 'http://b', circuit_breaker: true, compression: false }
  - { type: s3, bucket: bucket, circuit_breaker: off, path_style: true }
telemetry: { profiling: false }
`);
    expect(config.tiers).toMatchObject([
      { circuit_breaker: 'off', compression: 'on' },
      { circuit_breaker: 'on', compression: 'off' },
      { circuit_breaker: 'off', path_style: 'on' },
    ]);
    expect(config.telemetry.profiling).toBe('off');
    expect(await mistakes("tiers: [{ type: http, url: 'http://b', compression: true, circuit_breaker: 1 }]")).toEqual([
      'tiers[0].circuit_breaker: found 1; allowed: on or off',
      'tiers[0].compression: found true; allowed: auto or off',
    ]);
  });

  it('are JSON in a variable or a flag', async () => {
    const text = '[{"type":"grpc","target":"a:1"}]';
    const flags = await loadConfig({ flags: [{ name: 'tiers', text }] });
    const variables = await loadConfig({ environment: { GRANARY_TIERS: text } });
    expect(flags.config.tiers).toMatchObject([{ target: 'a:1' }]);
    expect(variables.config.tiers).toEqual(flags.config.tiers);
    await expect(loadConfig({ flags: [{ name: 'tiers', text: 'a:1' }] })).rejects.toThrow(
      'found "a:1"; allowed: a list of tiers',
    );
  });

  it('may be of any type, each with what it needs', async () => {
    const config = await load(`
tiers:
  - { type: redis, urls: ['redis://cache:6379'], ttl: 1h }
  - { type: http, url: 'http://cache/prefix', token_file: /run/token }
  - { type: s3, bucket: builds, endpoint: 'http://127.0.0.1:9000', mode: write-behind }
`);
    expect(tiersOf(config)).toMatchObject([
      { type: 'redis', topology: 'server', prefix: 'granary:', ttl: 3_600_000, max_blob_size: 65_536 },
      { type: 'http', connections: 64, compression: 'auto', token_file: '/run/token' },
      { type: 's3', path_style: 'auto', encryption: 'none', part_size: 8 * 1024 * 1024, mode: 'write-behind' },
    ]);
    expect(await mistakes('tiers: [{ type: redis, urls: [], }, { type: s3, bucket: B }]')).toEqual([
      expect.stringContaining('tiers[0].urls: found []; allowed: a list of redis://'),
      'tiers[1].bucket: found "B"; allowed: the name of a bucket',
    ]);
    expect(await mistakes("tiers: [{ type: redis, urls: ['http://cache'] }]")).toEqual([
      expect.stringContaining('tiers[0].urls[0]: found "http://cache"; allowed: a list of redis://'),
    ]);
  });

  it('can be one in short, which comes first and is written through', async () => {
    const config = await load('backing_cache:\n  target: cache:9092\ntiers: [{ type: grpc, target: far:1 }]\n');
    const shown = tiersOf(config).map((tier) => [tier.name, tier.type === 'grpc' && tier.target, tier.mode]);
    expect(shown).toEqual([
      ['backing_cache', 'cache:9092', 'write-through'],
      [undefined, 'far:1', 'read-through'],
    ]);
    expect(tiersOf(await load(''))).toEqual([]);
  });

  it('are checked key by key, and every mistake is reported with its path', async () => {
    const found = await mistakes(`
tiers:
  - { type: grpc, target: a:1, mode: write-thru, retrys: 3, timeout: soon }
  - { type: carrier-pigeon }
  - { type: grpc, target: 'u:secret@a:1' }
  - name: No
  - grpc://a:1
`);
    expect(found).toEqual([
      'tiers[0].mode: found "write-thru"; allowed: read-through, write-through, write-behind or read-only',
      expect.stringContaining('tiers[0].timeout: found "soon"; allowed: numbers with ms'),
      'tiers[0].retrys: there is no such key; did you mean retry?',
      expect.stringMatching(/^tiers\[1\]\.type: found "carrier-pigeon"; allowed: .*grpc/),
      expect.stringContaining('tiers[2].target: found "[redacted]@a:1"; allowed: grpc://HOST'),
      expect.stringMatching(/^tiers\[3\]\.type: is missing; allowed: .*grpc/),
      'tiers[4]: found "grpc://a:1"; allowed: a section with keys such as type and target',
    ]);
  });

  it('have names of their own, and certificates with their keys', async () => {
    expect(await mistakes('tiers: [{ type: grpc, target: a:1 }, { type: grpc, target: b:1 }]')).toEqual([
      'tiers: tiers[1] has the name "grpc" as another tier; give each a name of its own',
    ]);
    expect(await mistakes('tiers: [{ type: grpc, target: a:1, cert_file: /x }]')).toEqual([
      'tiers: tiers[0] needs both of cert_file and key_file, or none',
    ]);
    expect(await mistakes('tiers: 5')).toEqual([
      'tiers: found 5; allowed: a list of tiers, each with its type and settings',
    ]);
  });
});
