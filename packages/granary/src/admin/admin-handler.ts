import type { IncomingMessage, ServerResponse } from 'node:http';
import type { MaybePromise } from '@granary/blobs';
import { AccessDeniedError, type Credentials } from '@granary/reapi';
import type { Logger } from '@granary/telemetry';

/** What the admin listener shows. */
export interface AdminSources {
  /** Why the server takes no work, or undefined when it does. */
  readonly notReady: () => Promise<string | undefined>;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Undefined where there are none to show: on a listener for metrics alone. */
  readonly stats?: () => unknown;
  readonly version: () => unknown;
  /** Lets a request go on or throws {@link AccessDeniedError}. */
  readonly authorize: (credentials: Credentials) => MaybePromise<unknown>;
  readonly logger: Logger;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const text = (status: number, body: string, headers?: Answer['headers']): Answer => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body: `${body}\n`,
  ...(headers && { headers }),
});
const json = (value: unknown): Answer => ({
  status: 200,
  contentType: 'application/json',
  body: `${JSON.stringify(value, null, 2)}\n`,
});

/** Serves health to everyone, and the rest to who may administer. */
export function createAdminHandler(sources: AdminSources) {
  const open: Readonly<Record<string, () => MaybePromise<Answer>>> = {
    '/healthz': () => text(200, 'ok'),
    '/readyz': async () => {
      const reason = await sources.notReady();
      return reason === undefined ? text(200, 'ready') : text(503, reason);
    },
  };
  const { stats } = sources;
  const guarded: Readonly<Record<string, () => MaybePromise<Answer>>> = {
    '/metrics': async () => {
      const { contentType, text: body } = await sources.metrics();
      return { status: 200, contentType, body };
    },
    '/version': () => json(sources.version()),
    ...(stats && { '/stats': () => json(stats()) }),
  };

  const answerTo = async (request: IncomingMessage): Promise<Answer> => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const openRoute = Object.hasOwn(open, path) ? open[path] : undefined;
    // Whoever may not see the guarded routes may not learn which there are either.
    if (!openRoute) {
      const { authorization, host } = request.headers;
      await sources.authorize({ authorization, authority: host, socket: request.socket });
    }
    const route = openRoute ?? (Object.hasOwn(guarded, path) ? guarded[path] : undefined);
    if (!route) return text(404, `there is ${[...Object.keys(open), ...Object.keys(guarded)].join(', ')}`);
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return text(405, 'allowed: GET, HEAD', { Allow: 'GET, HEAD' });
    return route();
  };

  return (request: IncomingMessage, response: ServerResponse): void => {
    // What a request brings is of no interest, but unread it would block the connection.
    request.resume();
    answerTo(request)
      .catch((error: unknown): Answer => {
        if (error instanceof AccessDeniedError) return refusal(error);
        sources.logger.error('{Method} {Url} failed', request.method, request.url, error);
        return text(500, 'failed; see the log');
      })
      .then(({ status, contentType, body, headers }) => {
        response.writeHead(status, {
          'Content-Type': contentType,
          'Content-Length': Buffer.byteLength(body),
          'Cache-Control': 'no-store',
          'X-Content-Type-Options': 'nosniff',
          ...headers,
        });
        response.end(request.method === 'HEAD' ? undefined : body);
      })
      .catch(() => response.destroy());
  };
}

function refusal({ code, message }: AccessDeniedError): Answer {
  if (code === 'RATE_LIMITED') return text(429, message, { 'Retry-After': '60' });
  if (code === 'PERMISSION_DENIED') return text(403, message);
  return text(401, message, { 'WWW-Authenticate': 'Basic realm="granary", charset="UTF-8", Bearer realm="granary"' });
}
