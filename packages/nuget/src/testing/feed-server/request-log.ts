import type { IncomingHttpHeaders } from 'node:http';

/** One request as the server got it. */
export interface FeedRequest {
  readonly method: string;
  /** Path and query, as they came. */
  readonly target: string;
  /** The path alone, decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** What was sent, for pushes. */
  body: Buffer | undefined;
  /** What it was answered with; undefined until then. */
  status: number | undefined;
}

/** Which requests: their path and query begin with a text, match an expression or please a function. */
export type RequestMatch = string | RegExp | ((request: FeedRequest) => boolean);

export function matches(match: RequestMatch, request: FeedRequest): boolean {
  if (typeof match === 'function') return match(request);
  return typeof match === 'string' ? request.target.startsWith(match) : match.test(request.target);
}

interface Waiter {
  readonly match: RequestMatch;
  readonly count: number;
  readonly resolve: (request: FeedRequest) => void;
  readonly reject: (reason: Error) => void;
}

/** Everything that was asked since the last {@link RequestLog.clear}, in order. */
export class RequestLog implements Iterable<FeedRequest> {
  readonly #requests: FeedRequest[] = [];
  readonly #waiters = new Set<Waiter>();

  /** Targets of the requests that match, or of all. */
  targets(match?: RequestMatch): string[] {
    return this.all(match).map(({ target }) => target);
  }

  all(match?: RequestMatch): FeedRequest[] {
    return match === undefined ? [...this.#requests] : this.#requests.filter((request) => matches(match, request));
  }

  get length(): number {
    return this.#requests.length;
  }

  [Symbol.iterator](): Iterator<FeedRequest> {
    return this.#requests[Symbol.iterator]();
  }

  clear(): void {
    this.#requests.length = 0;
  }

  add(request: FeedRequest): void {
    this.#requests.push(request);
    for (const waiter of this.#waiters) {
      if (!matches(waiter.match, request) || this.all(waiter.match).length < waiter.count) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(request);
    }
  }

  /** The request with which as many have matched; at once when they have already. Rejects when the server closes. */
  waitFor(match: RequestMatch, count = 1): Promise<FeedRequest> {
    const there = this.all(match)[count - 1];
    if (there !== undefined) return Promise.resolve(there);
    return new Promise((resolve, reject) => this.#waiters.add({ match, count, resolve, reject }));
  }

  close(): void {
    for (const { reject } of this.#waiters) reject(new Error('the feed server was closed before such a request came'));
    this.#waiters.clear();
  }
}
