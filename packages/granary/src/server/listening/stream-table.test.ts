import { once } from 'node:events';
import { type ClientHttp2Session, connect, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamTable, useStreamTable } from './stream-table.js';

const id = fc.integer({ min: 0, max: 1200 }).map((n) => 2 * n + 1);
const step = fc.record({ op: fc.constantFrom('set', 'set', 'delete', 'get'), id });

describe('StreamTable', () => {
  it('holds what a Map holds', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 2000 }), (steps) => {
        const table = new StreamTable<string>();
        const model = new Map<number, string>();
        for (const { op, id } of steps) {
          if (op === 'set' && !model.has(id)) {
            table.set(id, `stream ${id}`);
            model.set(id, `stream ${id}`);
          }
          if (op === 'delete') expect(table.delete(id)).toBe(model.delete(id));
          expect(table.get(id)).toBe(model.get(id));
          expect(table.size).toBe(model.size);
        }
        const told = new Map<number, string>();
        table.forEach((stream, id) => {
          told.set(id, stream);
        });
        expect(told).toEqual(model);
      }),
    );
  });

  it('leaves out what is deleted while it tells', () => {
    const table = new StreamTable<number>();
    const ids = Array.from({ length: 600 }, (_, i) => 2 * i + 1);
    for (const id of ids) table.set(id, id);
    const told: number[] = [];
    table.forEach((stream) => {
      told.push(stream);
      for (const id of ids) table.delete(id);
    });
    expect(told).toEqual([1]);
    expect(table.size).toBe(0);
  });
});

describe('useStreamTable', () => {
  it('fits this version of Node', async () => {
    await using server = await start(() => {});
    await server.opened();
    expect(server.fitted).toEqual([true]);
  });

  it('serves more streams at once than there are slots, and later ones beside them', async () => {
    const waiting: ServerHttp2Stream[] = [];
    await using server = await start((stream) => waiting.push(stream));
    const client = await server.opened();
    const first = Array.from({ length: 600 }, () => answerOf(client));
    while (waiting.length < 600) await new Promise(setImmediate);
    const [oldest, ...others] = waiting.splice(0);
    for (const stream of others) stream.end('first');
    await Promise.all(first.slice(1));
    const later = Array.from({ length: 600 }, () => answerOf(client));
    while (waiting.length < 600) await new Promise(setImmediate);
    for (const stream of waiting) stream.end('later');
    expect(new Set(await Promise.all(later))).toEqual(new Set(['later']));
    oldest?.end('oldest');
    expect(await first[0]).toBe('oldest');
  });

  it('lets a session that is destroyed end its streams', async () => {
    const streams: ServerHttp2Stream[] = [];
    await using server = await start((stream) => streams.push(stream));
    const client = await server.opened();
    const answers = Array.from({ length: 300 }, () => answerOf(client).catch((error: Error) => error.message));
    while (streams.length < 300) await new Promise(setImmediate);
    const closed = streams.map((stream) => once(stream, 'close'));
    streams[0]?.session?.destroy();
    await Promise.all(closed);
    expect((await Promise.all(answers)).filter((answer) => answer === 'answered')).toEqual([]);
  });

  it('ends a session that is closed when its last stream is over', async () => {
    const streams: ServerHttp2Stream[] = [];
    await using server = await start((stream) => streams.push(stream));
    const client = await server.opened();
    const answer = answerOf(client);
    while (streams.length < 1) await new Promise(setImmediate);
    const [stream] = streams as [ServerHttp2Stream];
    const closed = once(stream.session as object as ClientHttp2Session, 'close');
    stream.session?.close();
    stream.end('last');
    expect(await answer).toBe('last');
    await closed;
  });

  it('leaves alone what it does not know', () => {
    const state = Symbol('state');
    expect(useStreamTable({})).toBe(false);
    expect(useStreamTable({ [state]: undefined })).toBe(false);
    expect(useStreamTable({ [state]: { streams: [] } })).toBe(false);
    const used = { [state]: { streams: new Map([[1, 'stream']]) } };
    expect(useStreamTable(used)).toBe(false);
    expect(used[state].streams).toBeInstanceOf(Map);
  });
});

async function start(serve: (stream: ServerHttp2Stream) => void) {
  const server = createServer({ settings: { maxConcurrentStreams: 2000 } });
  const fitted: boolean[] = [];
  const clients: ClientHttp2Session[] = [];
  server.on('session', (session) => fitted.push(useStreamTable(session)));
  server.on('stream', (stream) => {
    // Those that are cut off say so.
    stream.on('error', () => {});
    stream.respond();
    serve(stream);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    fitted,
    /** A client whose session the server has seen. */
    async opened(): Promise<ClientHttp2Session> {
      const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      client.on('error', () => {});
      clients.push(client);
      await once(client, 'remoteSettings');
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answerOf(client: ClientHttp2Session): Promise<string> {
  const stream = client.request({ ':path': '/' });
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  return text;
}
