import { StoreClosedError } from '../errors.js';
import { type RemoteFailure, RemoteStoreError } from '../remote/remote-store-error.js';

/** What the first word of Redis' errors, or its first words, means. */
const KINDS: readonly (readonly [pattern: RegExp, kind: RemoteFailure])[] = [
  [/^OOM|^ERR max number of clients/, 'exhausted'],
  [/^(NOAUTH|WRONGPASS|NOPERM|DENIED)\b|^ERR (AUTH|invalid password|unknown command|Client sent AUTH)/, 'refused'],
  [/^(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|BUSY|UNKILLABLE|NOREPLICAS|MOVED|ASK)\b/, 'unavailable'],
];
/** How Redis' own errors begin, unlike those of sockets and of the client. */
const REPLY = /^[A-Z]{3,}\b/;

/**
 * What failed between us and Redis, as every store tells it. Errors of commands aren't kept as causes: they carry the
 * command with its arguments, a password or a blob among them.
 */
export function redisFailure(tier: string, error: unknown): Error {
  if (codeOf(error) === 'CACHE_CLOSED') return new StoreClosedError();
  if (codeOf(error) === 'CACHE_TIMEOUT') return new RemoteStoreError(tier, 'timeout', messageOf(error));
  const root = rootOf(error);
  const reason = messageOf(root);
  const isReply = REPLY.test(reason) && codeOf(root) === undefined;
  const kind = KINDS.find(([pattern]) => pattern.test(reason))?.[1] ?? (isReply ? 'invalid' : 'unavailable');
  return new RemoteStoreError(tier, kind, root === error ? `Redis: ${reason}` : messageOf(error));
}

/** What the client tried to say, behind what it wrapped it in. */
function rootOf(error: unknown): unknown {
  let root = error;
  for (let depth = 0; depth < 4 && root instanceof Error; depth++) {
    const inner = root.cause ?? (root as { lastNodeError?: unknown }).lastNodeError;
    if (!(inner instanceof Error)) break;
    root = inner;
  }
  return root;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
