import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isInstalled, runCommand } from '../command.js';
import { CacheClient, type NamedBlob } from '../grpc-client.js';
import { type RunningServer, startServer } from '../server.js';
import { deployed, interpolated, readDashboard, readRules, shownPanels } from './deployed-files.js';
import { type OtherProgram, startOtherProgram } from './other-metrics.js';
import { Prometheus } from './prometheus.js';

const ACTION_HITS = 9;
const ACTION_MISSES = 3;
const HTTP_HITS = 6;
const HTTP_MISSES = 2;
const STORE_MISSES = 2;
const BLOB_BYTES = 5000;
const STREAM_BYTES = 100_000;

const missing = [];
for (const command of ['prometheus', 'promtool']) if (!(await isInstalled(command))) missing.push(command);
if (missing.length > 0) console.log(`Skipped: real Prometheus, because ${missing.join(' and ')} is not installed.`);

describe.skipIf(missing.length > 0)('Prometheus', () => {
  let scratch: string;
  let server: RunningServer;
  let other: OtherProgram;
  /** Another server, with NuGet feeds, and what they read through to. */
  let feeds: RunningServer;
  let upstream: FeedServer;
  let prometheus: Prometheus;
  /** Keeps series to the server, since the other program has some of the same. */
  let on: string;

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'granary-prometheus-'));
    server = await startServer(join(scratch, 'store'));
    other = await startOtherProgram();
    upstream = await startFeedServer({ packages: [{ id: 'Acme.Core', version: '1.0.0' }] });
    const sources = JSON.stringify([{ name: 'up', url: upstream.v3Url }]);
    feeds = await startServer(join(scratch, 'feeds'), '--nuget.sources', sources);
    await restore();
    prometheus = await Prometheus.start(
      scratch,
      [server.adminPort, other.port, feeds.adminPort],
      [deployed('prometheus/rules.yaml')],
    );
    on = `instance="127.0.0.1:${server.adminPort}"`;
    await prometheus.expectValue('sum(up{job="granary"})', 3);
    // A series is born with its first number, and rates see only what comes after that: so everything happens twice.
    await traffic();
    other.work();
    await prometheus.expectValue(
      `sum(granary_grpc_requests_total{${on},method="GetActionResult",code="OK"})`,
      ACTION_HITS,
    );
    await prometheus.expectValue(`sum(granary_chain_gets_total{instance="127.0.0.1:${other.port}"})`, 2);
    await traffic();
    await restore();
    other.work();
    await prometheus.expectValue(
      `sum(granary_http_server_requests_total{${on},route="cas",method="GET",code="404"})`,
      2 * HTTP_MISSES,
    );
    await prometheus.expectValue(`sum(granary_chain_gets_total{instance="127.0.0.1:${other.port}"})`, 4);
  });

  afterAll(async () => {
    await prometheus?.stop();
    await other?.stop();
    await feeds?.stop();
    await upstream?.close();
    await server?.stop();
    if (scratch) rmSync(scratch, { recursive: true, force: true });
  });

  it('counts the calls that were made over gRPC', async () => {
    await expectNumbers('granary_grpc_requests_total', {
      'method="GetActionResult",code="OK"': 2 * ACTION_HITS,
      'method="GetActionResult",code="NOT_FOUND"': 2 * ACTION_MISSES,
      'method="UpdateActionResult",code="OK"': 2,
      'method="FindMissingBlobs",code="OK"': 2,
      'method="BatchUpdateBlobs",code="OK"': 2,
      'method="Write",code="OK"': 2,
      'method="Read",code="OK"': 2,
    });
    const [sent] = await prometheus.query(`sum(granary_grpc_bytes_total{${on},method="Read",direction="sent"})`);
    expect(sent?.value).toBeGreaterThanOrEqual(2 * STREAM_BYTES);
    expect(sent?.value).toBeLessThan(2.1 * STREAM_BYTES);
  });

  it('counts the requests that were made over HTTP, and their bytes', async () => {
    await expectNumbers('granary_http_server_requests_total', {
      'route="cas",method="GET",code="200"': 2 * HTTP_HITS,
      'route="cas",method="GET",code="404"': 2 * HTTP_MISSES,
    });
    await prometheus.expectValue(
      `sum(granary_http_server_bytes_total{${on},method="GET",direction="sent"})`,
      2 * bytesOverHttp,
    );
  });

  it('counts what the store was asked for and holds', async () => {
    await expectNumbers('granary_cache_requests_total', {
      'tier="disk",method=~"get|read",status="hit"': 2 * (HTTP_HITS + 1),
      'tier="disk",method=~"get|read",status="miss"': 2 * (STORE_MISSES + HTTP_MISSES),
    });
    await expectNumbers('granary_blob_size_bytes_sum', {
      'method=~"get|read"': 2 * (HTTP_HITS * BLOB_BYTES + STREAM_BYTES),
    });
    await expectNumbers('granary_blobs', { '': 4 });
    await expectNumbers('granary_action_results', { '': 2 });
  });

  it('is told ratios by the rules that are those of the traffic', async () => {
    await prometheus.expectNear(
      `job_instance_tier:granary_blob_hits:ratio_rate5m{${on}}`,
      (HTTP_HITS + 1) / (HTTP_HITS + 1 + STORE_MISSES + HTTP_MISSES),
    );
    const gets = 'job_instance_protocol_result:granary_action_cache_gets:rate5m';
    await prometheus.expectNear(
      `sum(${gets}{${on},result="hit"}) / sum(${gets}{${on}})`,
      ACTION_HITS / (ACTION_HITS + ACTION_MISSES),
    );
  });

  it('evaluates all rules, and none of the alerts of a sick server fires for a well one', async () => {
    const rules = await prometheus.ruleHealth();
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
    expect(rules.length).toBe(readRules().match(/^ {6}- (record|alert):/gm)?.length);
    expect(await prometheus.query(`ALERTS{${on},alertstate="firing"}`)).toEqual([]);
  });

  it('answers every question of the dashboard with data, and with the labels that its lines are named by', async () => {
    const dashboard = readDashboard();
    for (const { title, type, targets } of shownPanels(dashboard)) {
      for (const { expr, legendFormat } of targets ?? []) {
        const samples = await prometheus.query(interpolated(expr));
        if (NOTHING_TO_SHOW.has(title)) continue;
        expect(samples, `${title}: ${expr}`).not.toEqual([]);
        if (type !== 'table')
          expect(
            samples.some(({ value }) => !Number.isNaN(value)),
            `${title}: ${expr}`,
          ).toBe(true);
        for (const [, label] of legendFormat?.matchAll(/\{\{(\w+)\}\}/g) ?? []) {
          for (const { labels } of samples) expect(labels, `${title}: ${expr}`).toHaveProperty(label as string);
        }
      }
    }
    for (const { expr } of dashboard.annotations.list) await prometheus.query(interpolated(expr));
  });

  it('fills the lists at the top of the dashboard', async () => {
    const listed = async (name: string) => {
      const variable = readDashboard().templating.list.find((candidate) => candidate.name === name);
      const [, selector, label] = variable?.definition?.match(/^label_values\((.+), (\w+)\)$/) ?? [];
      const samples = await prometheus.query(interpolated(`count by (${label}) (${selector})`));
      return samples.map(({ labels }) => labels[label ?? '']).sort();
    };
    expect(await listed('job')).toEqual(['granary']);
    expect(await listed('instance')).toEqual(
      [server.adminPort, other.port, feeds.adminPort].map((port) => `127.0.0.1:${port}`).sort(),
    );
  });

  it('knows every family that the dashboard and the rules ask for', async () => {
    const known = new Set((await prometheus.query('count by (__name__) ({__name__=~"granary_.+"})')).map(nameOf));
    const { text } = await scrape();
    // Families without a series yet are on the page, but Prometheus can't know them.
    for (const [, name, type] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
      for (const suffix of type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']) known.add(`${name}${suffix}`);
    }
    const asked = shownPanels(readDashboard()).flatMap(({ targets }) => targets?.map(({ expr }) => expr) ?? []);
    const names = new Set([...asked, readRules()].flatMap((text) => text.match(/(?<![\w:])granary_\w+/g) ?? []));
    expect([...names].filter((name) => !known.has(name))).toEqual([]);
  });

  it('finds nothing to complain about in what the server shows', async () => {
    const { text } = await scrape();
    const { exitCode, output } = await runCommand('promtool', ['check', 'metrics'], { cwd: '.', input: text });
    expect(output).toBe('');
    expect(exitCode).toBe(0);
  });

  let bytesOverHttp = 0;
  let round = 0;

  /** Known calls to the server: the same at each time, with other blobs. */
  async function traffic(): Promise<void> {
    round++;
    bytesOverHttp = 0;
    const client = new CacheClient(server.grpcPort);
    try {
      const small = blobOf(`small ${round}`, BLOB_BYTES);
      const large = blobOf(`large ${round}`, STREAM_BYTES);
      const [action, unknown] = [sha256(`action ${round}`), sha256(`unknown ${round}`)];
      expect(await client.findMissing([{ hash: small.hash, size: BLOB_BYTES }])).toEqual(new Set([small.hash]));
      await client.batchUpdate([small]);
      await client.write(large, randomUUID());
      expect(await client.read(large.hash, STREAM_BYTES)).toEqual(large.data);
      for (let i = 0; i < STORE_MISSES; i++) await expect(client.read(unknown, 10)).rejects.toThrow('NOT_FOUND');
      await client.updateActionResult(action, 10, Buffer.from('done'));
      for (let i = 0; i < ACTION_HITS; i++) expect(await client.hasActionResult(action, 10)).toBe(true);
      for (let i = 0; i < ACTION_MISSES; i++) expect(await client.hasActionResult(unknown, 10)).toBe(false);
      for (let i = 0; i < HTTP_HITS; i++) await getOverHttp(small.hash, 200);
      for (let i = 0; i < HTTP_MISSES; i++) await getOverHttp(unknown, 404);
      await expect(client.hasActionResult('no hash', 10)).rejects.toThrow('INVALID_ARGUMENT');
      // Bodies of a wrong hash are refused, so that there is an error to show.
      const put = await fetch(`http://127.0.0.1:${server.httpPort}/cas/${unknown}`, { method: 'PUT', body: 'wrong' });
      expect(put.status).toBe(400);
    } finally {
      client.close();
    }
  }

  /** A package and its list of versions, from upstream and from here. */
  async function restore(): Promise<void> {
    const folder = `http://127.0.0.1:${feeds.httpPort}/nuget/v3/flatcontainer/acme.core`;
    for (const path of ['index.json', '1.0.0/acme.core.1.0.0.nupkg', 'index.json', '1.0.0/acme.core.1.0.0.nupkg']) {
      const response = await fetch(`${folder}/${path}`);
      expect(response.status).toBe(200);
      await response.arrayBuffer();
    }
  }

  async function getOverHttp(hash: string, status: number): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${server.httpPort}/cas/${hash}`);
    expect(response.status).toBe(status);
    bytesOverHttp += (await response.arrayBuffer()).byteLength;
  }

  async function scrape(): Promise<{ text: string }> {
    const response = await fetch(`http://127.0.0.1:${server.adminPort}/metrics`);
    return { text: await response.text() };
  }

  async function expectNumbers(family: string, expected: Readonly<Record<string, number>>): Promise<void> {
    for (const [labels, value] of Object.entries(expected)) {
      await prometheus.expectValue(`sum(${family}{${on}${labels && `,${labels}`}})`, value);
    }
  }
});

/** Panels of what doesn't happen here, or may not. */
const NOTHING_TO_SHOW = new Set(['Refused', 'Garbage collection']);

const nameOf = ({ labels }: { labels: Readonly<Record<string, string>> }) => labels['__name__'] ?? '';

function blobOf(seed: string, length: number): NamedBlob {
  const data = Buffer.alloc(length, seed);
  return { hash: sha256(data), data };
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
