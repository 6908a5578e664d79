import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { MaybePromise } from '@granary/blobs';
import { AccessDeniedError, type Credentials } from '@granary/reapi';
import type { Logger } from '@granary/telemetry';
import { comesFromForeignPage, hasForeignName } from '../access/foreign-page.js';
import { AdminExchange } from './admin-exchange.js';
import { type HealthSource, healthRoutes } from './health-routes.js';
import { indexPage } from './index-page.js';
import { type Answer, AnswerError, json, type Route, text } from './route.js';

/** What the admin listener shows. */
export interface AdminSources {
  readonly health: HealthSource;
  /** @param accept the formats that the client asks for, as its `Accept` header has them */
  readonly metrics: (accept?: string) => Promise<Pick<Answer, 'contentType' | 'body'>>;
  /** Undefined where there are none to show: on a listener for metrics alone. */
  readonly stats?: () => unknown;
  readonly version: () => unknown;
  /** More routes by their paths, such as those that profile. */
  readonly routes?: Readonly<Record<string, Route>>;
  /** Lets a request go on or throws {@link AccessDeniedError}. */
  readonly authorize: (credentials: Credentials) => MaybePromise<unknown>;
  /** Whether these are credentials of somebody who may administer; throws {@link AccessDeniedError} where they are wrong. */
  readonly isAdmin: (credentials: Credentials) => MaybePromise<boolean>;
  readonly logger: Logger;
}

/** Serves health to everyone, and the rest to who may administer. */
export function createAdminHandler(sources: AdminSources) {
  const routes = new Map(Object.entries(allRoutes(sources)));

  const answerTo = async (request: IncomingMessage, exchange: AdminExchange): Promise<Answer> => {
    const { path, method } = exchange;
    const route = routes.get(path);
    const { headers, socket } = request;
    const credentials = { authorization: headers.authorization, authority: headers.host, socket };
    // Whoever may not see the guarded routes may not learn which there are either.
    if (!route?.open) await sources.authorize(credentials);
    if (!route) {
      if (routes.has(`${path}/`)) return text(301, `see ${path}/`, { Location: `${path}/` });
      return text(404, `there is ${[...routes.keys()].join(', ')}`);
    }
    const { get, put, post, onDemand } = route;
    const handle = { GET: get, HEAD: get, PUT: put, POST: post }[method];
    if (!handle) {
      const allowed = Object.entries({ 'GET, HEAD': get, PUT: put, POST: post }).flatMap(([name, is]) =>
        is ? name : [],
      );
      return text(405, `allowed: ${allowed.join(', ')}`, { Allow: allowed.join(', ') });
    }
    const careful = onDemand !== undefined || (method !== 'GET' && method !== 'HEAD');
    const isForeign = async () =>
      comesFromForeignPage(headers) || (hasForeignName(headers, socket) && !(await sources.isAdmin(credentials)));
    if (careful && (await isForeign()))
      return text(403, "this is not for other sites' pages; ask for it by this machine's name or address");
    // How long it would be nobody knows without making it, and a stream says nothing of that.
    if (onDemand !== undefined && method === 'HEAD')
      return { status: 200, contentType: onDemand, body: Readable.from([]) };
    return handle(exchange);
  };

  return (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = new AdminExchange(request, response);
    answerTo(request, exchange)
      .catch((error: unknown): Answer => {
        if (error instanceof AccessDeniedError) return refusal(error);
        if (error instanceof AnswerError) return text(error.status, error.message, error.headers);
        if (!exchange.signal.aborted) sources.logger.error('{Method} {Url} failed', request.method, request.url, error);
        return text(500, 'failed; see the log');
      })
      .then((answer) => exchange.send(answer))
      .catch((error: unknown) => {
        // Whoever goes away before the end of a stream is no news.
        if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE')
          sources.logger.error('The answer to {Method} {Url} broke off', request.method, request.url, error);
        exchange.abandon();
      });
  };
}

function allRoutes(sources: AdminSources): Readonly<Record<string, Route>> {
  const { stats } = sources;
  const routes: Record<string, Route> = {
    ...healthRoutes(sources.health),
    '/metrics': {
      summary: 'metrics, for Prometheus',
      get: async ({ headers }) => ({ status: 200, ...(await sources.metrics(headers.accept)) }),
    },
    ...(stats && { '/stats': { summary: 'what granary stats shows, as JSON', get: () => json(stats()) } }),
    '/version': { summary: 'the versions of Granary and of Node', get: () => json(sources.version()) },
    ...sources.routes,
  };
  return { '/': { summary: 'this page', get: () => indexPage(routes) }, ...routes };
}

function refusal({ code, message }: AccessDeniedError): Answer {
  if (code === 'RATE_LIMITED') return text(429, message, { 'Retry-After': '60' });
  if (code === 'PERMISSION_DENIED') return text(403, message);
  return text(401, message, { 'WWW-Authenticate': 'Basic realm="granary", charset="UTF-8", Bearer realm="granary"' });
}
