import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobReader, Digest } from '@granary/blobs';
import { GrpcTier } from '@granary/reapi';
import { startTestServer, type TestServer, temporaryFolder } from '../test-server.js';
import { FaultProxy } from './fault-proxy.js';

export interface TestBlob {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

export function testBlob(size: number): TestBlob {
  const bytes = randomBytes(size);
  return { bytes, digest: Digest.of('sha256', bytes) };
}

export async function readAll(reader: BlobReader): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of reader) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

export function clientOf(running: TestServer): GrpcTier {
  return new GrpcTier({
    name: 'client',
    mode: 'write-through',
    target: running.address('listen.grpc'),
    compression: 'off',
  });
}

/** A server in front of another one, with a network between them that can be faulty. */
export class GuardedTier implements AsyncDisposable {
  readonly proxy: FaultProxy;
  readonly front: TestServer;
  readonly client: GrpcTier;
  readonly #folder: string;

  private constructor(proxy: FaultProxy, front: TestServer, folder: string) {
    this.proxy = proxy;
    this.front = front;
    this.client = clientOf(front);
    this.#folder = folder;
  }

  /** @param settings of the tier */
  static async start(back: TestServer, settings: object): Promise<GuardedTier> {
    const proxy = await FaultProxy.start(back.address('listen.grpc'));
    const folder = await temporaryFolder();
    const tiers = [{ type: 'grpc', name: 'back', target: proxy.address, ...settings }];
    return new GuardedTier(
      proxy,
      await startTestServer({ tiers, 'storage.dir': folder, 'storage.max_size': '1GiB' }),
      folder,
    );
  }

  /** What requests that are over have left behind: nothing, but sometimes later than their answers. */
  async leftovers(): Promise<{ readonly reservedBytes: number; readonly files: readonly string[] }> {
    const { reservedBytes } = this.front.server.stats().storage;
    return { reservedBytes, files: await readdir(join(this.#folder, 'incoming')) };
  }

  /** Stops the server, and answers with the connections to the tier that it left open. */
  async stop(): Promise<number> {
    await this.client.close();
    await this.front[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
    // The other end hears of it in a later turn of the event loop.
    for (let turn = 0; turn < 100 && this.proxy.connections > 0; turn++) await new Promise(setImmediate);
    return this.proxy.connections;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.proxy.close();
  }
}
