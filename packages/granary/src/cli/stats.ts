import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { ConnectionOptions } from 'node:tls';
import { HttpClient, isHttpError } from '@granary/http';
import { formatAddress, isLoopback } from '../config/address.js';
import type { Config } from '../config/schema.js';
import { formatSize } from '../config/size.js';
import { show } from '../config/source.js';
import type { HitCount } from '../metrics/request-metrics.js';
import type { FeedStats } from '../nuget/nuget-stats.js';
import type { ServerStats } from '../server/stats.js';
import { granaryVersion } from '../version.js';
import type { CommandIo, ExitCode } from './io.js';
import { plain } from './terminal/text.js';

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 1024 * 1024;

export interface StatsOptions {
  readonly url: string | undefined;
  readonly json: boolean;
}

/** Asks a running server and shows what it says. */
export async function stats(config: Config, options: StatsOptions, io: CommandIo): Promise<ExitCode> {
  const base = options.url ?? adminUrl(config);
  if (base === undefined) {
    io.err(
      'granary: listen.admin is none or has port 0; say where the admin port is: granary stats --url http://HOST:PORT\n',
    );
    return 2;
  }
  if (!isUsable(base)) {
    io.err(`granary: --url: found ${show(base)}; allowed: a URL such as http://127.0.0.1:9090\n`);
    return 2;
  }
  const url = new URL('/stats', base);
  const answer = await ask(url, await tlsOptions(config, url), authorizationOf(url, io));
  if (answer.status !== 200) {
    const hint =
      answer.status === 401 || answer.status === 403 ? '; set GRANARY_ADMIN_TOKEN to a token with the right admin' : '';
    io.err(`granary: ${url.origin} answered ${answer.status}: ${plain(answer.text)}${hint}\n`);
    return 1;
  }
  const stats = statsIn(answer.text);
  if (!stats) {
    io.err(`granary: ${url.origin} answered something else than statistics; is this the admin port of a server?\n`);
    return 1;
  }
  io.out(options.json ? answer.text : describeStats(stats));
  return 0;
}

function isUsable(base: string): boolean {
  if (!/^https?:/i.test(base) || !URL.canParse('/stats', base)) return false;
  const { username, password } = new URL(base);
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

/** Undefined for what some other server may have at the same path. */
function statsIn(text: string): ServerStats | undefined {
  try {
    const stats = JSON.parse(text) as Partial<ServerStats> | null;
    return stats?.storage && stats.listeners && stats.requests ? (stats as ServerStats) : undefined;
  } catch {
    return undefined;
  }
}

function adminUrl({ listen, tls }: Config): string | undefined {
  if (!listen.admin || listen.admin.port === 0) return undefined;
  const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const host = everywhere[listen.admin.host] ?? listen.admin.host;
  return `${tls.cert_file ? 'https' : 'http'}://${formatAddress({ host, port: listen.admin.port })}`;
}

function authorizationOf({ username, password }: URL, { environment }: CommandIo): string | undefined {
  // A file that a secret comes from often ends its line; an empty variable is one that is not set.
  const token = environment['GRANARY_ADMIN_TOKEN']?.trim();
  if (token) return `Bearer ${token}`;
  if (username === '') return undefined;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}

async function tlsOptions({ tls }: Config, url: URL): Promise<ConnectionOptions | undefined> {
  if (url.protocol !== 'https:' || !tls.cert_file || !tls.key_file) return undefined;
  const [cert, key] = await Promise.all([readFile(tls.cert_file), readFile(tls.key_file)]);
  // The server's own certificate serves as ours where clients must show one. A certificate rarely names 127.0.0.1, and
  // nobody sits between a machine and itself, so there it is not compared.
  return { cert, key, rejectUnauthorized: !isLoopback(url.hostname.replace(/^\[|\]$/g, '')) };
}

async function ask(
  { origin, pathname }: URL,
  tls: ConnectionOptions | undefined,
  authorization: string | undefined,
): Promise<{ status: number; text: string }> {
  // Somebody waits at a terminal for one answer of a server nearby: it comes now, or the reason why not.
  await using client = new HttpClient({
    userAgent: `granary/${granaryVersion()}`,
    timeoutMs: TIMEOUT_MS,
    maxStreamBytes: MAX_ANSWER_BYTES,
    maxRedirects: 0,
    retry: false,
    proxy: false,
    ...(tls && { tls }),
  });
  try {
    const { statusCode, body } = await client.request(`${origin}${pathname}`, {
      ...(authorization !== undefined && { headers: { authorization } }),
    });
    return { status: statusCode, text: await text(body) };
  } catch (error) {
    throw new Error(`can't ask ${origin}: ${reasonOf(error)}`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  if (!isHttpError(error)) return String(error);
  const { code } = (error.cause ?? {}) as { readonly code?: unknown };
  if (code === 'ECONNREFUSED') return 'nobody listens there; is granary serve running?';
  if (error.code === 'BODY_TOO_LARGE') return 'the answer is too long for statistics';
  return error.message;
}

/** Statistics for people. */
export function describeStats(stats: ServerStats): string {
  const { storage, requests } = stats;
  const rows: readonly (readonly [string, string])[] = [
    [
      'granary',
      `${stats.version} on Node ${stats.node}, pid ${stats.pid}, ${stats.state} for ${describeUptime(stats.uptimeMs)}`,
    ],
    ...Object.entries(stats.listeners),
    ['store', `${storage.directory} (durability ${storage.durability})`],
    [
      '',
      `${formatSize(storage.bytes)} of ${formatSize(storage.maxBytes)}, ${formatSize(storage.freeBytes)} free on the disk`,
    ],
    ['', `${storage.blobs} blobs, ${storage.actionResults} action results${storage.loaded ? '' : ' (still counting)'}`],
    ['evicted', `${storage.evictions}, ${formatSize(storage.evictedBytes)}`],
    ['damaged', String(storage.quarantined)],
    ['requests', `${requests.requests}, ${formatSize(requests.bytesIn)} in, ${formatSize(requests.bytesOut)} out`],
    ['action results', describeHits(stats.actionResults)],
    ['blob reads', describeHits(stats.blobs)],
    ...(stats.nuget === undefined ? [] : describeFeeds(stats.nuget)),
    ['memory', formatSize(stats.memoryBytes)],
  ];
  // What failed last is told in the words of whoever failed.
  return rows.map(([name, value]) => `${plain(name).padEnd(24)}${plain(value)}\n`).join('');
}

function describeFeeds({ sources, hosted, kept }: FeedStats): [string, string][] {
  const rows = sources.flatMap(({ name, state, lastError, lastSuccessAt, ...source }): [string, string][] => {
    const failure = lastError === undefined ? '' : `: ${lastError}; last answered ${lastSuccessAt ?? 'never'}`;
    return [
      [`nuget ${name}`, `${state === 'unknown' ? 'not asked yet' : state}${failure}`],
      ['', `packages ${describeHits(source.packages)}, ${formatSize(source.savedBytes)} saved`],
      ['', `metadata ${describeHits(source.metadata)}, ${source.metadata.stale} of them stale`],
    ];
  });
  if (hosted) rows.push([`nuget ${hosted.name}`, `${hosted.versions} versions of ${hosted.packages} packages`]);
  if (kept.packages > 0) rows.push(['nuget kept', `${kept.packages} packages, ${formatSize(kept.bytes)}`]);
  return rows;
}

function describeHits({ hits, misses }: HitCount): string {
  const asked = hits + misses;
  return asked === 0 ? 'not asked for yet' : `${((100 * hits) / asked).toFixed(1)} % hits (${hits} of ${asked})`;
}

function describeUptime(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(minutes / 1440), 'd'],
    [Math.floor(minutes / 60) % 24, 'h'],
    [minutes % 60, 'm'],
  ];
  const shown = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count}${unit}`);
  return shown.length > 0 ? shown.join('') : `${Math.floor(ms / 1000)}s`;
}
