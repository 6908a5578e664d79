import type { AddressInfo } from 'node:net';
import { CreateBucketCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { buildApp } from 'fauxqs';
import { type ResolvedS3Options, resolveS3Options, type S3TierOptions } from '../options.js';
import { S3Tier } from '../s3-tier.js';

type App = ReturnType<typeof buildApp>;
type Hook = Parameters<App['addHook']>[1];
export type TestRequest = { readonly method: string; readonly url: string; readonly headers: Record<string, unknown> };

/** What the store answers instead; or after the promise, as it would. */
export interface TestAnswer {
  readonly status: number;
  /** S3's code for the error. */
  readonly code?: string;
  /** Default: `so it is`. */
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const CREDENTIALS = { accessKeyId: 'AKIDTEST', secretAccessKey: 'a-very-secret-secret' };
const BUCKET = 'cache';

/** An S3 store on the loopback with an empty bucket, and with whatever answers a test wants to see. */
export class TestBucket implements AsyncDisposable {
  readonly requests: TestRequest[] = [];
  answer: ((request: TestRequest) => TestAnswer | undefined | Promise<TestAnswer | undefined>) | undefined;
  readonly #app: App;
  readonly #client: S3Client;

  private constructor(app: App, endpoint: string) {
    this.#app = app;
    this.endpoint = endpoint;
    this.#client = new S3Client({ endpoint, region: 'us-east-1', credentials: CREDENTIALS, forcePathStyle: true });
  }

  readonly endpoint: string;

  static async start(): Promise<TestBucket> {
    const app = buildApp({ logger: false });
    let bucket: TestBucket | undefined;
    const hook = (async (
      request: TestRequest,
      reply: { code(n: number): typeof reply; headers(h: object): typeof reply; send(text: string): unknown },
    ) => {
      const answer = await bucket?.seen(request);
      if (!answer) return;
      const { status, code = '', message = 'so it is', headers = {} } = answer;
      const text = request.method === 'HEAD' ? '' : `<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
      await reply
        .code(status)
        .headers({ 'content-type': 'application/xml', ...headers })
        .send(text);
    }) as unknown as Hook;
    app.addHook('preHandler' as never, hook as never);
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as AddressInfo;
    const started = new TestBucket(app, `http://127.0.0.1:${port}`);
    await started.#client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    bucket = started;
    return started;
  }

  /** @param resolved options that users can't set so */
  tier(options: Partial<S3TierOptions> = {}, resolved: Partial<ResolvedS3Options> = {}): S3Tier {
    const all: S3TierOptions = {
      name: 'bucket',
      mode: 'write-through',
      bucket: BUCKET,
      endpoint: this.endpoint,
      credentials: CREDENTIALS,
      ...options,
    };
    return new S3Tier(all, { ...resolveS3Options(all), ...resolved });
  }

  count(method: string, part = ''): number {
    return this.requests.filter((request) => request.method === method && request.url.includes(part)).length;
  }

  async keys(): Promise<string[]> {
    const { Contents = [] } = await this.#client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
    return Contents.map(({ Key = '' }) => Key);
  }

  async put(key: string, bytes: Buffer): Promise<void> {
    await this.#client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: bytes }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy();
    this.#app.server.closeAllConnections();
    await this.#app.close();
  }

  private async seen({ method, url, headers }: TestRequest): Promise<TestAnswer | undefined> {
    const request = { method, url, headers };
    this.requests.push(request);
    return this.answer?.(request);
  }
}
