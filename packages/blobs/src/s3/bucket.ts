import { Agent as HttpAgent } from 'node:http';
import { type AgentOptions, Agent as HttpsAgent } from 'node:https';
import { Readable } from 'node:stream';
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  HeadObjectCommand,
  S3Client,
  type ServerSideEncryption,
} from '@aws-sdk/client-s3';
import { secureConnections } from '@granary/http';
import { isQueueFull, SemaphoreThrottle, untilAborted } from '@granary/resilience';
import { StoreClosedError } from '../errors.js';
import { type RemoteFailure, RemoteStoreError } from '../remote/remote-store-error.js';
import type { ResolvedS3Options, S3Credentials } from './options.js';
import { ProxiedAgent } from './proxied-agent.js';
import { answerOf, isMissing, s3Failure } from './s3-failure.js';
import { type OnProgress, Traffic } from './traffic.js';

/** Requests that wait for a connection, at most. */
const MOST_WAITING = 10_000;

const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** What a call of the SDK takes beside its command. */
export interface CallOptions {
  readonly abortSignal?: AbortSignal;
}

/** How an object is to be encrypted. */
interface Encryption {
  readonly ServerSideEncryption?: ServerSideEncryption;
  readonly SSEKMSKeyId?: string;
}

/** A bucket: connections, credentials, and what its answers mean. */
export class Bucket {
  readonly name: string;
  readonly bucket: string;
  readonly client: S3Client;
  readonly encryption: Encryption;
  readonly traffic = new Traffic();
  readonly #secrets: readonly string[];
  readonly #forbiddenIsMissing: boolean;
  readonly #connections: SemaphoreThrottle;
  #closed = false;

  constructor(options: ResolvedS3Options) {
    const { credentials, connections: maxSockets } = options;
    this.name = options.name;
    this.bucket = options.bucket;
    this.encryption = encryptionOf(options);
    this.#forbiddenIsMissing = options.forbiddenIsMissing;
    this.#secrets = credentials ? [credentials.secretAccessKey, credentials.sessionToken ?? ''].filter(Boolean) : [];
    this.#connections = new SemaphoreThrottle(maxSockets, { maxQueue: MOST_WAITING });
    this.client = new S3Client({
      ...(options.region !== undefined && { region: options.region }),
      ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
      ...(credentials && { credentials: identityOf(credentials) }),
      forcePathStyle: options.pathStyle,
      // Whoever uses a tier has retries around it.
      maxAttempts: 1,
      // Many stores other than AWS don't know the newer checksums, and refuse what has them.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // To wait for leave to send costs a round trip, and takes connections that nobody counts.
      expectContinueHeader: false,
      logger: quiet,
      requestHandler: {
        connectionTimeout: options.connectTimeoutMs,
        socketTimeout: options.idleTimeoutMs,
        httpAgent: new HttpAgent({ keepAlive: true, maxSockets }),
        httpsAgent: httpsAgent(options, { keepAlive: true, maxSockets, ...options.tls }),
        logger: quiet,
      },
    });
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /**
   * Calls the store when there is a connection for it, which an answer with a body keeps until that is closed.
   *
   * @param what method and key, for errors
   * @param onProgress told while it waits for a connection that others get on, and of the answer
   * @throws RemoteStoreError, StoreClosedError, or the reason of the signal
   */
  async run<T extends object>(
    what: string,
    signal: AbortSignal | undefined,
    call: (options: CallOptions) => Promise<T>,
    onProgress?: OnProgress,
  ): Promise<T> {
    if (this.#closed) throw new StoreClosedError();
    const release = await this.traffic.wait(this.#connection(signal), onProgress);
    let body: Readable | undefined;
    try {
      // The SDK looks for credentials without listening to the signal.
      const answer = await untilAborted(call(signal ? { abortSignal: signal } : {}), signal, discard);
      body = bodyOf(answer);
      if (onProgress) this.traffic.tell(onProgress);
      return answer;
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (onProgress && answerOf(error).status !== undefined) this.traffic.tell(onProgress);
      throw this.explain(what, error);
    } finally {
      if (body && !body.closed) body.once('close', release);
      else release();
    }
  }

  /** The size of an object; undefined when there is none. */
  async sizeAt(key: string, signal: AbortSignal | undefined, onProgress?: OnProgress): Promise<number | undefined> {
    const found = await this.#find(
      `HEAD ${key}`,
      signal,
      (options) => this.client.send(new HeadObjectCommand({ Bucket: this.bucket, Key: key }), options),
      onProgress,
    );
    return found?.ContentLength;
  }

  /** Begins to read an object; undefined when there is none. Its body is to be read or destroyed. */
  async open(
    key: string,
    range: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly head: GetObjectCommandOutput; readonly body: Readable } | undefined> {
    const head = await this.#find(`GET ${key}`, signal, (options) =>
      this.client.send(new GetObjectCommand({ Bucket: this.bucket, Key: key, Range: range }), options),
    );
    if (!head) return undefined;
    const body = bodyOf(head);
    if (!body) throw this.failure('invalid', `GET ${key}: there is no body`);
    return { head, body };
  }

  /** @throws RemoteStoreError when the bucket can't be used */
  async check(signal: AbortSignal): Promise<void> {
    try {
      await this.run('HEAD', signal, (options) =>
        this.client.send(new HeadBucketCommand({ Bucket: this.bucket }), options),
      );
    } catch (error) {
      if (isMissing(error)) throw this.failure('refused', `the bucket ${this.bucket} does not exist`, error);
      throw error;
    }
  }

  failure(kind: RemoteFailure, reason: string, cause?: unknown): RemoteStoreError {
    return new RemoteStoreError(this.name, kind, reason, cause === undefined ? undefined : { cause });
  }

  /** What the SDK threw, or what broke off a body, as callers see it. */
  explain(what: string, error: unknown): unknown {
    if (this.#closed) return new StoreClosedError();
    if (error instanceof RemoteStoreError) return error;
    return s3Failure(this.name, what, this.bucket, error, (text) =>
      this.#secrets.reduce((clean, secret) => clean.replaceAll(secret, '…'), text),
    );
  }

  /** Ends what is under way, which fails with `STORE_CLOSED`, and closes the connections. */
  close(): void {
    this.#closed = true;
    this.client.destroy();
  }

  async #connection(signal: AbortSignal | undefined): Promise<() => void> {
    try {
      return await this.#connections.acquire({ signal });
    } catch (error) {
      if (isQueueFull(error)) throw this.failure('exhausted', 'too many requests wait for a connection', error);
      throw error;
    }
  }

  async #find<T extends object>(
    what: string,
    signal: AbortSignal | undefined,
    call: (options: CallOptions) => Promise<T>,
    onProgress?: OnProgress,
  ): Promise<T | undefined> {
    try {
      return await this.run(what, signal, call, onProgress);
    } catch (error) {
      if (isMissing(error) || answerOf(error).status === 416) return undefined;
      if (this.#forbiddenIsMissing && answerOf(error).status === 403) return undefined;
      throw error;
    }
  }
}

function httpsAgent({ proxy, connectTimeoutMs, tls }: ResolvedS3Options, options: AgentOptions): HttpsAgent {
  const proxied = secureConnections({ proxy, timeoutMs: connectTimeoutMs, tls });
  return proxied === undefined ? new HttpsAgent(options) : new ProxiedAgent(options, proxied);
}

function encryptionOf({ encryption }: ResolvedS3Options): Encryption {
  if (encryption === undefined) return {};
  if (encryption === 'sse-s3') return { ServerSideEncryption: 'AES256' };
  const { kmsKeyId } = encryption;
  return { ServerSideEncryption: 'aws:kms', ...(kmsKeyId !== undefined && { SSEKMSKeyId: kmsKeyId }) };
}

function bodyOf(answer: object): Readable | undefined {
  return 'Body' in answer && answer.Body instanceof Readable ? answer.Body : undefined;
}

/** An answer that nobody reads. */
function discard(answer: object): void {
  bodyOf(answer)?.destroy();
}

function identityOf({ accessKeyId, secretAccessKey, sessionToken }: S3Credentials) {
  return { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) };
}
