import { Digest } from '@granary/blobs';
import { GetTreeRequestSchema } from '../../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { checkInstanceName } from '../../resource-name.js';
import { type BlobAnswers, readBlobs, updateBlobs } from '../../services/blob-batch.js';
import { largestRequest } from '../../services/limits.js';
import { isPending } from '../../services/pending.js';
import { invalidRequest } from '../../services/protocol-error.js';
import { treePages } from '../../services/tree-pages.js';
import { decodeGenerated } from '../../wire/generated-message.js';
import {
  BatchReadBlobsResponseWriter,
  COMPRESSOR,
  decodeBatchReadBlobsRequest,
  decodeBatchUpdateBlobsRequest,
  decodeFindMissingBlobsRequest,
  encodeBatchUpdateBlobsResponse,
  encodeFindMissingBlobsResponse,
  encodeGetTreeResponse,
  resolveDigestFunction,
  type WireStatus,
} from '../../wire/index.js';
import { type Endpoint, serverStream, unary } from '../calls/endpoint.js';
import { FRAME_HEADER_BYTES } from '../calls/framed-response.js';
import { ResponseMemory } from '../calls/response-memory.js';
import type { RunningCall } from '../calls/running-call.js';
import { MAX_NAMING_BYTES } from '../calls/server-call.js';
import { isOurFault, toStatus } from '../calls/status.js';
import type { CacheParts } from './cache-parts.js';

const SERVICE = 'build.bazel.remote.execution.v2.ContentAddressableStorage';
const OK: WireStatus = { code: 0, message: '' };
const NO_BYTES = Buffer.alloc(0);

/** `ContentAddressableStorage`: what is missing, small blobs in batches, and trees (REAPI v2). */
export function contentAddressableStorageEndpoints(parts: CacheParts): Endpoint[] {
  return [findMissingBlobs(parts), batchUpdateBlobs(parts), batchReadBlobs(parts), getTree(parts)];
}

function findMissingBlobs({ edge, blobs, digests, limits }: CacheParts): Endpoint {
  const method = {
    service: SERVICE,
    name: 'FindMissingBlobs',
    right: 'read',
    maxRequestBytes: largestRequest(limits),
    decode: decodeFindMissingBlobsRequest,
  } as const;
  return unary(edge, method, ({ instanceName, digestFunction, blobDigests }, call) => {
    checkInstanceName(instanceName);
    digests.require(digestFunction);
    if (call.wantsDetails) call.subject = `${blobDigests.length} digests`;
    if (blobDigests.length > limits.maxFindMissingDigests)
      throw invalidRequest(`${blobDigests.length} digests are over the limit of ${limits.maxFindMissingDigests}`);
    const missing = blobs.findMissing(blobDigests, call.options);
    return isPending(missing) ? missing.then(encodeMissing) : encodeMissing(missing);
  });
}

function batchUpdateBlobs({ edge, blobs, digests, limits }: CacheParts): Endpoint {
  const method = {
    service: SERVICE,
    name: 'BatchUpdateBlobs',
    right: 'write',
    maxRequestBytes: largestRequest(limits),
    decode: decodeBatchUpdateBlobsRequest,
  } as const;
  return unary(edge, method, async ({ instanceName, digestFunction, requests }, call) => {
    checkInstanceName(instanceName);
    digests.require(digestFunction);
    if (call.wantsDetails) call.subject = `${requests.length} blobs`;
    const failures = await updateBlobs(blobs, requests, limits, call.options);
    const responses = requests.map(({ digest }, i) => ({ digest, status: statusOf(failures[i], call) }));
    return encodeBatchUpdateBlobsResponse({ responses });
  });
}

function batchReadBlobs({ edge, blobs, digests, limits }: CacheParts): Endpoint {
  const method = {
    service: SERVICE,
    name: 'BatchReadBlobs',
    right: 'read',
    decode: decodeBatchReadBlobsRequest,
  } as const;
  const memory = new ResponseMemory();
  const takeMemory = (bytes: number) => memory.take(bytes);
  return unary(edge, method, (request, call) => {
    checkInstanceName(request.instanceName);
    digests.require(request.digestFunction);
    if (call.wantsDetails) call.subject = `${request.digests.length} digests`;
    const { digests: requested, acceptableCompressors } = request;
    const response = new BatchReadBlobsResponseWriter(requested, {
      maxBytes: limits.maxMessageBytes,
      headroom: FRAME_HEADER_BYTES,
      allocate: takeMemory,
    });
    const answers = answersInto(response, call);
    const answered = readBlobs(blobs, requested, acceptableCompressors, limits, answers, call.options);
    const finish = () => {
      const bytes = response.finish();
      call.framed = { bytes, release: () => memory.give(response.memory) };
      return bytes.subarray(FRAME_HEADER_BYTES);
    };
    return isPending(answered) ? answered.then(finish) : finish();
  });
}

function getTree({ edge, blobs, digests, limits }: CacheParts): Endpoint {
  const method = {
    service: SERVICE,
    name: 'GetTree',
    right: 'read',
    decode: decodeGetTreeRequest,
    maxRequestBytes: MAX_NAMING_BYTES,
  } as const;
  return serverStream(edge, method, async ({ instanceName, root, pageSize, pageToken }, call, out) => {
    checkInstanceName(instanceName);
    digests.require(root.function);
    if (call.wantsDetails) call.subject = root.toString();
    if (pageSize < 0) throw invalidRequest(`page_size is ${pageSize}; it can't be negative`);
    const treeLimits = {
      maxDirectories: limits.maxTreeDirectories,
      maxDirectoryBytes: limits.maxBatchTotalBytes,
      maxPageBytes: limits.maxMessageBytes,
      pageSize: Math.min(pageSize || limits.treePageSize, limits.treePageSize),
    };
    for await (const page of treePages(blobs, root, pageToken, treeLimits, call.options))
      await out.send(encodeGetTreeResponse(page.directories, page.nextPageToken));
    return undefined;
  });
}

function encodeMissing(missingBlobDigests: readonly Digest[]): Buffer {
  return encodeFindMissingBlobsResponse({ missingBlobDigests });
}

function answersInto(response: BatchReadBlobsResponseWriter, call: RunningCall): BlobAnswers {
  return {
    place: (digest, bytes) => response.place(digest, bytes),
    found: (digest, data, compressor) => response.add({ digest, data, compressor, status: OK }),
    failed: (digest, error) =>
      response.add({ digest, data: NO_BYTES, compressor: COMPRESSOR.identity, status: statusOf(error, call) }),
  };
}

/** The status of one blob in a batch, whose call as a whole goes well. */
function statusOf(error: unknown, call: RunningCall): WireStatus {
  if (error === undefined) return OK;
  const { code, details } = toStatus(error);
  if (isOurFault(code)) call.logger.error('A blob of a batch failed', error);
  return { code, message: details };
}

function decodeGetTreeRequest(bytes: Buffer) {
  const { instanceName, rootDigest, pageSize, pageToken, digestFunction } = decodeGenerated(
    GetTreeRequestSchema,
    bytes,
  );
  if (!rootDigest) throw invalidRequest('the request has no root_digest');
  const fn = resolveDigestFunction(digestFunction, rootDigest.hash.length);
  if (!fn) throw invalidRequest(`the digest function ${digestFunction} is not known here`);
  return { instanceName, root: Digest.parse(fn, rootDigest.hash, Number(rootDigest.sizeBytes)), pageSize, pageToken };
}
