import type { IncomingMessage, ServerResponse } from 'node:http';
import { NuGetError } from '@granary/nuget';
import { type Logger, noopTracer, nullLogger, type Tracer } from '@granary/telemetry';
import { HttpServerSpans } from '@granary/telemetry/server';
import type { FeedContent } from '../feed/feed-content.js';
import { isBatch } from '../v2/batch.js';
import { handleV2 } from '../v2/v2-handler.js';
import type { ServiceIndexOptions } from '../v3/service-index.js';
import { handleV3 } from '../v3/v3-handler.js';
import { RenderedDocuments } from './answers/rendered-documents.js';
import { checkPublicUrl, Origins } from './base-url.js';
import { Exchange, type FeedEdge } from './exchange.js';
import { FeedUrls } from './feed-urls.js';
import type { FeedHooks, FeedRight } from './hooks.js';
import { HttpError, toHttpError } from './http-error.js';
import { type NuGetPath, parseNuGetPath, pathOf } from './nuget-path.js';
import { pushTarget } from './uploads/push-target.js';
import { Uploads } from './uploads/uploads.js';

export interface NuGetLimits {
  /** Largest package that is taken, in bytes. Default 1 GiB. */
  readonly maxPackageBytes?: number | undefined;
  /** Most bytes that packages being pushed may take in files together. Default 8 GiB. */
  readonly maxIncomingBytes?: number | undefined;
  /** Memory for documents as they were answered, in bytes. Default 64 MiB. */
  readonly maxDocumentBytes?: number | undefined;
  /** How long a client may send nothing of what it pushes, in milliseconds. Default 60,000. */
  readonly bodyIdleMs?: number | undefined;
  /** How long a client may take nothing of a package, in milliseconds. Default 120,000. */
  readonly sendIdleMs?: number | undefined;
}

export interface NuGetHandlerOptions {
  readonly feeds: {
    /** All sources as one. */
    readonly all: FeedContent;
    /** By names that are neither `v2` nor `v3`. */
    readonly bySource: ReadonlyMap<string, FeedContent>;
  };
  /**
   * The server as clients see it, where a proxy stands before it, without the prefix: `https://packages.example`.
   * Default: what each client says in its `Host` header.
   */
  readonly publicUrl?: string | undefined;
  /** Where the feeds lie. Default `/nuget`. */
  readonly prefix?: string | undefined;
  /**
   * Hosts (with ports) that no document may send clients to, such as those of the sources' URLs; what their indexes name on
   * other hosts is left out by their feeds. Default: none.
   */
  readonly upstreamHosts?: ReadonlySet<string> | undefined;
  /** What a feed offers beside packages. Default: everything. */
  readonly offers?: ((feed: FeedContent) => ServiceIndexOptions) | undefined;
  readonly limits?: NuGetLimits | undefined;
  /** For packages while they are pushed; made when it is needed. A server that was killed may leave some in it. */
  readonly incomingDirectory: string;
  /**
   * Asked before a package that is pushed goes on with so many bytes in that folder; throws where there is no room for them.
   * Default: there always is.
   */
  readonly makeRoom?: ((bytes: number) => Promise<void>) | undefined;
  readonly hooks?: FeedHooks | undefined;
  readonly logger?: Logger | undefined;
  /** Makes a span of each request. Default: none. */
  readonly tracer?: Tracer | undefined;
}

/** Serves a request; to be registered for a server's events `request` and `checkContinue`. */
export type NuGetHandler = (request: IncomingMessage, response: ServerResponse) => void;

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const EVERYTHING: ServiceIndexOptions = { canPublish: true, hasVulnerabilities: true };

/**
 * NuGet feeds over HTTP, in both protocols: `{prefix}/v3/index.json` and `{prefix}/v2/` for all sources as one,
 * `{prefix}/{source}/…` for one of them. Every URL in every document leads back here.
 *
 * @throws NuGetError `INVALID_OPTION`
 */
export function createNuGetHandler(options: NuGetHandlerOptions): NuGetHandler {
  const { feeds, prefix = '/nuget', limits = {}, upstreamHosts, offers = () => EVERYTHING } = options;
  const { hooks = {}, logger = nullLogger, tracer = noopTracer } = options;
  const publicUrl = options.publicUrl === undefined ? undefined : checkPublicUrl(options.publicUrl);
  if (!/^(?:\/[\w.~-]+)*$/.test(prefix)) throw new NuGetError('INVALID_OPTION', 'prefix must be a path like /nuget');
  for (const name of ['v2', 'v3']) {
    if (feeds.bySource.has(name)) throw new NuGetError('INVALID_OPTION', `no source can be called ${name}`);
  }
  const { bodyIdleMs = 60_000 } = limits;
  const edge: FeedEdge = {
    hooks,
    logger,
    spans: new HttpServerSpans(tracer, { name: 'nuget' }),
    documents: new RenderedDocuments(limits.maxDocumentBytes ?? 64 * MIB),
    uploads: new Uploads({
      directory: options.incomingDirectory,
      maxPackageBytes: limits.maxPackageBytes ?? GIB,
      maxIncomingBytes: limits.maxIncomingBytes ?? 8 * GIB,
      makeRoom: options.makeRoom ?? (() => Promise.resolve()),
      bodyIdleMs,
    }),
    bodyIdleMs,
    sendIdleMs: limits.sendIdleMs ?? 120_000,
  };

  const origins = new Origins();
  const serve = (exchange: Exchange, path: NuGetPath): void | Promise<void> => {
    const { source, protocol, inV3, segments } = path;
    const feed = source === undefined ? feeds.all : feeds.bySource.get(source);
    if (feed === undefined) throw new HttpError(404, 'there is no source of this name');
    exchange.feed = feed.name;
    const base = `${publicUrl ?? origins.of(exchange.request)}${prefix}`;
    const urls = new FeedUrls({ base, source, ownV2: protocol === 'v2' && !inV3, upstreamHosts });
    if (protocol === 'v3') return handleV3(exchange, { feed, urls, offers: offers(feed) }, segments);
    return handleV2(exchange, feed, urls, segments);
  };

  /** At once where nothing has to be waited for, as most of what restores ask for. */
  const answer = (exchange: Exchange): void => {
    let right: FeedRight = isReading(exchange) ? 'read' : 'push';
    try {
      const { method, url = '' } = exchange.request;
      const target = right === 'push' ? pushTarget(method, pathOf(url), prefix) : pathOf(url);
      const path = parseNuGetPath(target, prefix);
      if (path.protocol === 'v2' && isBatch(path.segments)) right = 'read';
      const access = exchange.authorize(right);
      const done = access instanceof Promise ? access.then(() => serve(exchange, path)) : serve(exchange, path);
      if (done instanceof Promise) done.catch((error) => fail(exchange, right, error));
    } catch (error) {
      fail(exchange, right, error);
    }
  };

  return (request, response) => {
    const exchange = new Exchange(edge, request, response);
    // Log lines and clients deep inside find the span; where it doesn't record, nobody pays for that.
    if (exchange.span.recording) tracer.runWith(exchange.span, () => answer(exchange));
    else answer(exchange);
  };
}

function fail(exchange: Exchange, right: FeedRight, error: unknown): void {
  const failure = toHttpError(error, right);
  const { request, response } = exchange;
  // A client that went away is no failure of the server.
  const isOurs = failure.status === 500 && !response.destroyed;
  if (isOurs) exchange.logger.error('{Method} {Url} failed', request.method, pathOf(request.url ?? ''), error);
  exchange.fail(failure, isOurs ? error : undefined).catch(() => response.destroy());
}

function isReading({ request: { method } }: Exchange): boolean {
  return method !== 'PUT' && method !== 'POST' && method !== 'DELETE';
}
