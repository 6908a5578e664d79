import type { Reply } from './reply.js';
import { type FeedRequest, matches, type RequestMatch } from './request-log.js';

/** Something that goes wrong with an answer. */
export type FeedFault =
  /** Another status, with a body of its own: `{ status: 429, headers: { 'retry-after': '2' } }`. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** The answer comes later, by the `wait` of the server. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Nothing comes, or nothing more after so many bytes of the body. The connection stays. */
  | { readonly kind: 'hang'; readonly afterBytes?: number }
  /** The connection ends after so many bytes of the body (default half); silent: the length is that of what comes. */
  | { readonly kind: 'truncate'; readonly afterBytes?: number; readonly silent?: boolean }
  /** The connection is broken at once, or after so many bytes of the body. */
  | { readonly kind: 'reset'; readonly afterBytes?: number }
  /** Something else, with status 200: another package, or a document that says nonsense. */
  | { readonly kind: 'replace'; readonly body: Buffer | string; readonly contentType?: string }
  /** A page to log in, with status 200. */
  | { readonly kind: 'html' }
  | { readonly kind: 'content-type'; readonly contentType: string }
  /** Blanks after the document until it has so many bytes: it stays well-formed. */
  | { readonly kind: 'huge'; readonly bytes: number }
  /** Each page of a V2 feed names another one, or always the same. */
  | { readonly kind: 'endless'; readonly repeat?: boolean };

interface ActiveFault {
  readonly match: RequestMatch;
  readonly fault: FeedFault;
  times: number;
}

/** The faults of a server: every one that matches a request happens to it. */
export class Faults {
  readonly #active = new Set<ActiveFault>();

  add(match: RequestMatch, fault: FeedFault, times = Number.POSITIVE_INFINITY): () => void {
    const active: ActiveFault = { match, fault, times };
    this.#active.add(active);
    return () => void this.#active.delete(active);
  }

  clear(): void {
    this.#active.clear();
  }

  of(request: FeedRequest): readonly FeedFault[] {
    const happening: FeedFault[] = [];
    for (const active of this.#active) {
      if (!matches(active.match, request)) continue;
      if (--active.times <= 0) this.#active.delete(active);
      happening.push(active.fault);
    }
    return happening;
  }
}

const LOGIN_PAGE =
  '<!DOCTYPE html>\n<html><head><title>Log in</title></head><body><form method="post"><input name="user"></form></body></html>\n';

/** What becomes of an answer before it is sent. */
export function distort(reply: Reply, fault: FeedFault): Reply {
  switch (fault.kind) {
    case 'status':
      return { status: fault.status, headers: fault.headers, body: fault.body ?? '', contentType: 'text/plain' };
    case 'html':
      return { status: 200, body: LOGIN_PAGE, contentType: 'text/html; charset=utf-8' };
    case 'replace':
      return { status: 200, body: fault.body, contentType: fault.contentType ?? reply.contentType };
    case 'content-type':
      return { ...reply, contentType: fault.contentType };
    default:
      return reply;
  }
}
