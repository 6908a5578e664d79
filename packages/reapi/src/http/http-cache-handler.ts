import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import {
  type BlobStore,
  DEFAULT_DIGEST_FUNCTIONS,
  type DigestFunction,
  type MaybePromise,
  type SizeLookup,
} from '@granary/blobs';
import { type Logger, noopTracer, nullLogger, type Tracer } from '@granary/telemetry';
import { HttpServerSpans } from '@granary/telemetry/server';
import type { EdgeHooks } from '../edge/hooks.js';
import type { ActionCache } from '../services/action-cache.js';
import { isPending } from '../services/pending.js';
import { ActionResults } from './action-results.js';
import { Blobs } from './blobs.js';
import { type CachePath, parseCachePath, routeOf } from './cache-path.js';
import { Exchange, type HttpEdge } from './exchange.js';
import { HttpError, toHttpError } from './http-error.js';
import { Spool } from './spool.js';

export interface HttpCacheOptions {
  readonly blobs: BlobStore;
  /** The same blobs by hash alone: the store at the bottom of the stack. */
  readonly sizes: SizeLookup;
  readonly actionCache: ActionCache;
  /** Told of a blob that was asked for and whose size nobody knows: a miss that the store never hears of. */
  readonly onUnknown?: ((asked: 'get' | 'find') => void) | undefined;
  /** Default {@link DEFAULT_DIGEST_FUNCTIONS}. */
  readonly digestFunctions?: readonly DigestFunction[];
  /** Largest blob that is taken, in bytes. Default 0: as large as the store allows. */
  readonly maxBlobBytes?: number;
  /** Largest action result, in bytes; what else clients keep under `/ac/` may be as large as a blob. Default 4 MiB. */
  readonly maxActionResultBytes?: number;
  /** Most bytes that uploads without an announced size may take in files together. Default 16 GiB. */
  readonly maxSpoolBytes?: number;
  /** Folder for uploads that don't announce their size. Default: the system's for temporary files. */
  readonly spoolDirectory?: string;
  /**
   * Asked before an upload that doesn't announce its size goes on with so many bytes in that folder; throws where there is
   * no room for them. Default: there always is.
   */
  readonly makeRoom?: (bytes: number) => Promise<void>;
  readonly hooks?: EdgeHooks;
  readonly logger?: Logger;
  /** Makes a span of each request. Default: none. */
  readonly tracer?: Tracer;
  /**
   * This server as others know it. With it, requests that have passed this server before are refused: needed where the
   * store asks other servers. Default: none, and nothing is looked at.
   */
  readonly serverId?: string | undefined;
}

/** Serves a request; to be registered for a server's events `request` and `checkContinue`. */
export type HttpCacheHandler = (request: IncomingMessage, response: ServerResponse) => void;

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const METHODS: readonly string[] = ['GET', 'HEAD', 'PUT'];
const STATUS_METHODS: readonly string[] = ['GET', 'HEAD'];
const RUNNING = Buffer.from('{"status":"running"}\n');

/**
 * Bazel's HTTP cache protocol: GET, HEAD and PUT of `/cas/HASH` and `/ac/HASH`, with any prefix as the instance name of
 * action results, from the same stores as the gRPC services. Content is verified; what lies under `/ac/` is kept as it
 * is, and handed out as a result only when all that it names is there.
 */
export function createHttpCacheHandler(options: HttpCacheOptions): HttpCacheHandler {
  const { hooks = {}, logger = nullLogger, tracer = noopTracer } = options;
  const edge: HttpEdge = { hooks, logger, spans: new HttpServerSpans(tracer, { routeOf }), serverId: options.serverId };
  const digestFunctions = options.digestFunctions ?? DEFAULT_DIGEST_FUNCTIONS;
  const maxBlobBytes = options.maxBlobBytes || Number.MAX_SAFE_INTEGER;
  const blobs = new Blobs({
    blobs: options.blobs,
    sizes: options.sizes,
    onUnknown: options.onUnknown,
    tracer,
    digestFunctions,
    maxBlobBytes,
    spool: new Spool(options.spoolDirectory ?? tmpdir(), options.maxSpoolBytes ?? 16 * GIB, options.makeRoom),
  });
  const actionResults = new ActionResults({
    cache: options.actionCache,
    blobs,
    maxBytes: options.maxActionResultBytes ?? 4 * MIB,
    maxBlobBytes,
  });

  const serve = (exchange: Exchange, path: CachePath, method: string): MaybePromise<void> => {
    if (path.kind === 'status') return exchange.answer(200, ['Content-Type', 'application/json'], RUNNING);
    if (path.kind === 'ac') {
      return method === 'PUT' ? actionResults.put(exchange, path) : actionResults.get(exchange, path);
    }
    if (method === 'PUT') return blobs.put(exchange, path);
    return method === 'HEAD' ? blobs.head(exchange, path) : blobs.get(exchange, path);
  };

  const begin = (exchange: Exchange): MaybePromise<void> => {
    const { method = '' } = exchange.request;
    const path = parseCachePath(exchange.request.url ?? '', digestFunctions);
    exchange.path = path;
    const allowed = path.kind === 'status' ? STATUS_METHODS : METHODS;
    if (!allowed.includes(method)) {
      throw new HttpError(405, `allowed: ${allowed.join(', ')}`, { Allow: allowed.join(', ') });
    }
    const access = exchange.authorize(method === 'PUT' ? 'write' : 'read');
    return isPending(access) ? access.then(() => serve(exchange, path, method)) : serve(exchange, path, method);
  };

  const fail = (exchange: Exchange, error: unknown): void => {
    const answer = toHttpError(error);
    const { request, response } = exchange;
    // A client that went away is no failure of the server.
    const isOurs = answer.status === 500 && !response.destroyed;
    if (isOurs) exchange.logger.error('{Method} {Url} failed', request.method, request.url, error);
    exchange.fail(answer, isOurs ? error : undefined).catch(() => response.destroy());
  };

  // What is in memory is answered within the event: no promise, no turn of the loop (benchmark `HTTP GET`, 4 KiB).
  const answer = (exchange: Exchange): void => {
    try {
      const pending = begin(exchange);
      if (pending) pending.catch((error: unknown) => fail(exchange, error));
    } catch (error) {
      fail(exchange, error);
    }
  };

  return (request, response) => {
    const exchange = new Exchange(edge, request, response);
    // Log lines and clients deep inside find the span; where it doesn't record, nobody pays for that.
    if (exchange.span.recording) tracer.runWith(exchange.span, () => answer(exchange));
    else answer(exchange);
  };
}
