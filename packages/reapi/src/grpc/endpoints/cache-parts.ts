import type { BlobStore, Digest } from '@granary/blobs';
import type { ActionCache } from '../../services/action-cache.js';
import type { DigestPolicy } from '../../services/digest-policy.js';
import type { CacheLimits } from '../../services/limits.js';
import { invalidRequest } from '../../services/protocol-error.js';
import { type RequestedDigest, validDigest } from '../../wire/index.js';
import type { Edge } from '../calls/running-call.js';

/** What the services of one cache share. */
export interface CacheParts {
  readonly edge: Edge;
  readonly blobs: BlobStore;
  readonly actionCache: ActionCache;
  readonly digests: DigestPolicy;
  readonly limits: CacheLimits;
}

/** @throws ProtocolError when a request leaves it out, InvalidDigestError when it is none */
export function requireDigest(requested: RequestedDigest | undefined, field: string): Digest {
  if (!requested) throw invalidRequest(`the request has no ${field}`);
  return validDigest(requested);
}
