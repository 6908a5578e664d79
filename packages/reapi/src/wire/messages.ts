import type { Digest, DigestFunction, InvalidDigestError } from '@granary/blobs';

/**
 * The hot messages of the cache protocol as plain values. Bytes in a decoded message are views of the buffer that
 * it came in; nothing is copied. Field names are those of the wire contract in camel case.
 */

/** What was sent for a digest and is none, kept so that a response can name it. */
export class MalformedDigest {
  /** The hash as sent. */
  readonly hash: string;
  readonly size: number;
  /** Why it is no digest. */
  readonly error: InvalidDigestError;

  constructor(hash: string, size: number, error: InvalidDigestError) {
    this.hash = hash;
    this.size = size;
    this.error = error;
  }

  toString(): string {
    return `${this.hash}/${this.size}`;
  }
}

/** A digest that a message names, valid or not. */
export type RequestedDigest = Digest | MalformedDigest;

/** @throws InvalidDigestError when it is none */
export function validDigest(requested: RequestedDigest): Digest {
  if (requested instanceof MalformedDigest) throw requested.error;
  return requested;
}

/** `Compressor.Value` of the contract, as far as this server decodes it; other values stay numbers. */
export const COMPRESSOR = { identity: 0, zstd: 1, deflate: 2, brotli: 3 } as const;

export interface FindMissingBlobsRequest {
  readonly instanceName: string;
  /** The function named or inferred; undefined when the request names one that this package does not know. */
  readonly digestFunction: DigestFunction | undefined;
  /** Decoding throws InvalidDigestError when one of them is malformed. */
  readonly blobDigests: readonly Digest[];
}

export interface FindMissingBlobsResponse {
  readonly missingBlobDigests: readonly Digest[];
}

export interface BatchUpdateBlobsRequest {
  readonly instanceName: string;
  readonly digestFunction: DigestFunction | undefined;
  readonly requests: readonly BlobUpload[];
}

export interface BlobUpload {
  readonly digest: RequestedDigest;
  readonly data: Buffer;
  readonly compressor: number;
}

/** `google.rpc.Status`, without details. */
export interface WireStatus {
  readonly code: number;
  readonly message: string;
}

export interface BatchUpdateBlobsResponse {
  readonly responses: readonly { readonly digest: RequestedDigest; readonly status: WireStatus }[];
}

export interface BatchReadBlobsRequest {
  readonly instanceName: string;
  readonly digestFunction: DigestFunction | undefined;
  readonly digests: readonly RequestedDigest[];
  readonly acceptableCompressors: readonly number[];
}

export interface BatchReadBlobsResponse {
  readonly responses: readonly {
    readonly digest: RequestedDigest;
    readonly data: Uint8Array;
    readonly compressor: number;
    readonly status: WireStatus;
  }[];
}

/** `google.bytestream.ReadRequest` */
export interface ReadRequest {
  readonly resourceName: string;
  readonly readOffset: number;
  readonly readLimit: number;
}

/**
 * `google.bytestream.WriteRequest`. The resource name is usually the same view of bytes in every message or left out
 * after the first, so it is decoded from text only when it is asked for.
 */
export interface WriteRequest {
  /** The name's bytes; empty when the message leaves it out. */
  readonly resourceName: Buffer;
  readonly writeOffset: number;
  readonly finishWrite: boolean;
  readonly data: Buffer;
}

export interface WriteResponse {
  /** −1 when a compressed upload was not needed because the blob is there. */
  readonly committedSize: number;
}

export interface QueryWriteStatusRequest {
  readonly resourceName: string;
}

export interface QueryWriteStatusResponse {
  readonly committedSize: number;
  readonly complete: boolean;
}

export interface GetActionResultRequest {
  readonly instanceName: string;
  readonly digestFunction: DigestFunction | undefined;
  readonly actionDigest: RequestedDigest | undefined;
  readonly inlineStdout: boolean;
  readonly inlineStderr: boolean;
  readonly inlineOutputFiles: readonly string[];
}

export interface UpdateActionResultRequest {
  readonly instanceName: string;
  readonly digestFunction: DigestFunction | undefined;
  readonly actionDigest: RequestedDigest | undefined;
  /** The result as it was sent: stored and handed out byte for byte. */
  readonly actionResult: Buffer | undefined;
}
