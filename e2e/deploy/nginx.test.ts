import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CacheClient } from '../grpc-client.js';
import { deployed } from '../prometheus/deployed-files.js';
import { freePort, type RunningServer, startServer } from '../server.js';
import { PEERS, type RunningProgram, startProgram } from '../services/peers.js';

const MIB = 1024 * 1024;
const missing = PEERS.find(({ name }) => name.startsWith('nginx'))?.missing;

const blobOf = (size: number) => {
  const data = randomBytes(size);
  return { data, hash: createHash('sha256').update(data).digest('hex') };
};

describe.skipIf(missing !== undefined)('behind nginx with the configuration of deploy/', () => {
  let folder: string;
  let server: RunningServer;
  let nginx: RunningProgram;
  let client: CacheClient;
  let url: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'granary-behind-nginx-'));
    server = await startServer(join(folder, 'store'), '--nuget.offline', 'true');
    const [grpc, http] = [await freePort(), await freePort()];
    const ports = { 9192: grpc, 8180: http, 9092: server.grpcPort, 8080: server.httpPort };
    const text = await readFile(deployed('nginx/granary.conf'), 'utf8');
    const started = await startProgram(async (own) => {
      const file = join(own, 'nginx.conf');
      const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (name) => `${name}_temp_path ${join(own, name)};`,
      );
      const servers = text.replace(/127\.0\.0\.1:(\d+)/g, (_, port: keyof typeof ports) => `127.0.0.1:${ports[port]}`);
      await writeFile(
        file,
        `daemon off; master_process off; pid ${join(own, 'pid')}; events {}
http { access_log off; ${paths.join(' ')}
${servers}}`,
      );
      const command = process.env['NGINX'] || 'nginx';
      return { command, args: ['-p', own, '-e', 'stderr', '-c', file], ports: [grpc, http] };
    });
    nginx = started.running;
    client = new CacheClient(grpc);
    url = `http://127.0.0.1:${http}`;
  });
  afterAll(async () => {
    client?.close();
    await nginx?.[Symbol.asyncDispose]();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('gRPC clients store and read blobs of all sizes', async () => {
    const [small, large] = [blobOf(1000), blobOf(20 * MIB)];
    expect(await client.batchUpdate([small])).toEqual([small.hash]);
    expect(await client.findMissing([small, large].map(({ hash, data }) => ({ hash, size: data.length })))).toEqual(
      new Set([large.hash]),
    );
    await client.write(large, randomUUID());
    // The second time it is answered before all of it has come.
    await client.write(large, randomUUID());
    expect((await client.read(large.hash, large.data.length)).equals(large.data)).toBe(true);
  });

  it('HTTP clients store and read blobs of all sizes', async () => {
    for (const size of [1000, 20 * MIB]) {
      const { hash, data } = blobOf(size);
      for (let i = 0; i < 2; i++) {
        const answer = await fetch(`${url}/cas/${hash}`, { method: 'PUT', body: data });
        expect(answer.ok).toBe(true);
      }
      const answer = await fetch(`${url}/cas/${hash}`);
      expect(Buffer.from(await answer.arrayBuffer()).equals(data)).toBe(true);
    }
  });

  it('NuGet feeds name themselves as clients see them', async () => {
    const { resources } = (await (await fetch(`${url}/nuget/v3/index.json`)).json()) as {
      resources: readonly { '@id': string }[];
    };
    expect(resources.length).toBeGreaterThan(5);
    for (const resource of resources) expect(resource['@id'].startsWith(`${url}/nuget/`)).toBe(true);
  });
});
