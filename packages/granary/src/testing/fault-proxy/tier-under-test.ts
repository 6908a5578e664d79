import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TestBucket } from '../../../../blobs/src/s3/testing/test-bucket.js';
import { startRedis } from '../../../../cache/src/redis/testing/redis-server.js';
import { startTestServer } from '../test-server.js';
import type { Which } from './fault.js';
import type { Conversation } from './position.js';

export const OPERATIONS = [
  'FindMissingBlobs',
  'a small blob',
  'a large blob',
  'a part of a large blob',
  'a large blob that several follow',
  'a small upload',
  'a large upload',
  'a small upload behind the answer',
  'a large upload behind the answer',
  'an action result',
  'a new action result',
  'a new action result behind the answer',
] as const;
export type OperationName = (typeof OPERATIONS)[number];

/** Where faults of an operation begin. */
export interface Places {
  /** Bytes of bodies on their way to the tier before the middle. Undefined where there are none. */
  readonly up?: number;
  /** The same for what comes back. */
  readonly down?: number;
  /** Which call to the tier counts, where that is not the first. */
  readonly call?: Which;
}

/** What stands behind the proxy. */
export interface Peer {
  /** `HOST:PORT` of it. */
  readonly target: string;
  /** Settings of a tier that reaches it at another `HOST:PORT`. */
  settings(address: string): Readonly<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** A type of tiers, with a real peer. */
export interface TierUnderTest {
  readonly conversation: Conversation;
  /** Whether the peer refuses what is not what its digest says. */
  readonly isVerifying: boolean;
  /** Whether its connection is made again by itself, so that requests meanwhile fail at once. */
  readonly isReconnecting: boolean;
  readonly places: Readonly<Record<OperationName, Places>>;
  /** @param folder for files that it needs; whoever made it removes it */
  start(folder: string): Promise<Peer>;
}

const MIB = 1024 * 1024;
export const SMALL_BYTES = 2000;
export const LARGE_BYTES = 640 * 1024;

/** What a tier is asked to do, as it does it over HTTP/1.1: with HEAD, GET and PUT. */
const OVER_HTTP: TierUnderTest['places'] = {
  FindMissingBlobs: {},
  'a small blob': { down: SMALL_BYTES / 2 },
  'a large blob': { down: LARGE_BYTES / 2 },
  'a part of a large blob': { down: LARGE_BYTES / 4 },
  'a large blob that several follow': { down: LARGE_BYTES / 2 },
  'a small upload': { up: SMALL_BYTES / 2, call: { method: 'PUT' } },
  'a large upload': { up: LARGE_BYTES / 2, call: { method: 'PUT' } },
  'a small upload behind the answer': { up: SMALL_BYTES / 2, call: { method: 'PUT' } },
  'a large upload behind the answer': { up: LARGE_BYTES / 2, call: { method: 'PUT' } },
  'an action result': { down: SMALL_BYTES / 2 },
  'a new action result': { up: SMALL_BYTES / 2, call: { method: 'PUT' } },
  'a new action result behind the answer': { up: SMALL_BYTES / 2, call: { method: 'PUT' } },
};

export const grpc: TierUnderTest = {
  conversation: 'http2',
  isVerifying: true,
  isReconnecting: false,
  places: {
    FindMissingBlobs: { up: 40, down: 40 },
    'a small blob': { up: 40, down: SMALL_BYTES / 2 },
    'a large blob': { up: 40, down: LARGE_BYTES / 2 },
    'a part of a large blob': { up: 40, down: LARGE_BYTES / 4 },
    'a large blob that several follow': { up: 40, down: LARGE_BYTES / 2 },
    'a small upload': { up: SMALL_BYTES / 2, down: 90, call: { skip: 1 } },
    'a large upload': { up: LARGE_BYTES / 2, down: 80, call: { skip: 1 } },
    'a small upload behind the answer': { up: SMALL_BYTES / 2, down: 90, call: { skip: 1 } },
    'a large upload behind the answer': { up: LARGE_BYTES / 2, down: 80, call: { skip: 1 } },
    'an action result': { up: 40, down: SMALL_BYTES / 2 },
    'a new action result': { up: SMALL_BYTES / 2, down: 40 },
    'a new action result behind the answer': { up: SMALL_BYTES / 2, down: 40 },
  },
  async start() {
    const server = await startTestServer({ 'storage.max_size': '1GiB' });
    return {
      target: server.address('listen.grpc'),
      settings: (address) => ({ type: 'grpc', target: address, connections: 1 }),
      stop: async () => server[Symbol.asyncDispose](),
    };
  },
};

export const http: TierUnderTest = {
  conversation: 'http1',
  isVerifying: true,
  isReconnecting: false,
  places: OVER_HTTP,
  async start() {
    const server = await startTestServer({ 'storage.max_size': '1GiB' });
    return {
      target: server.address('listen.http'),
      settings: (address) => ({ type: 'http', url: `http://${address}`, connections: 1 }),
      stop: async () => server[Symbol.asyncDispose](),
    };
  },
};

export const s3: TierUnderTest = {
  conversation: 'http1',
  isVerifying: false,
  isReconnecting: false,
  places: OVER_HTTP,
  async start(folder) {
    const bucket = await TestBucket.start();
    const credentials = join(folder, 'credentials');
    await writeFile(credentials, 'AKIDTEST\na-very-secret-secret\n');
    return {
      target: new URL(bucket.endpoint).host,
      settings: (address) => ({
        type: 's3',
        bucket: 'cache',
        endpoint: `http://${address}`,
        credentials_file: credentials,
        connections: 1,
      }),
      stop: async () => bucket[Symbol.asyncDispose](),
    };
  },
};

export const redis: TierUnderTest = {
  conversation: 'resp',
  isVerifying: false,
  isReconnecting: true,
  places: {
    FindMissingBlobs: { up: 40, down: 2 },
    'a small blob': { up: 40, down: SMALL_BYTES / 2 },
    'a large blob': { up: 40, down: LARGE_BYTES / 2 },
    'a part of a large blob': { up: 40, down: LARGE_BYTES / 2 },
    'a large blob that several follow': { up: 40, down: LARGE_BYTES / 2 },
    'a small upload': { up: SMALL_BYTES / 2, down: 2, call: { skip: 1 } },
    'a large upload': { up: LARGE_BYTES / 2, down: 3, call: { skip: 2 } },
    'a small upload behind the answer': { up: SMALL_BYTES / 2, down: 2, call: { skip: 1 } },
    'a large upload behind the answer': { up: LARGE_BYTES / 2, down: 3, call: { skip: 2 } },
    'an action result': { up: 40, down: SMALL_BYTES / 2 },
    'a new action result': { up: SMALL_BYTES / 2, down: 1 },
    'a new action result behind the answer': { up: SMALL_BYTES / 2, down: 1 },
  },
  async start() {
    const server = await startRedis();
    return {
      target: `127.0.0.1:${server.port}`,
      settings: (address) => ({ type: 'redis', urls: [`redis://${address}`], max_blob_size: `${2 * MIB}` }),
      stop: () => server.stop(),
    };
  },
};
