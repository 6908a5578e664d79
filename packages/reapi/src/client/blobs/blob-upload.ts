import { randomUUID } from 'node:crypto';
import {
  type BlobSource,
  CHUNK_BYTES,
  type Digest,
  type OperationOptions,
  type RemoteStoreError,
} from '@granary/blobs';
import { status as CODES } from '@grpc/grpc-js';
import { formatUploadName } from '../../resource-name.js';
import { decodeWriteResponse } from '../../wire/index.js';
import { compressStream } from '../../zstd/index.js';
import { hasStatus } from '../connection/call-failure.js';
import type { Peer } from '../connection/peer.js';
import type { StreamCall } from '../connection/stream-call.js';
import { answered } from './answered.js';
import { MESSAGE_ROOM } from './batch-sizes.js';
import { UploadMessage } from './upload-message.js';
import { UploadSource } from './upload-source.js';

const WRITE = '/google.bytestream.ByteStream/Write';

/** Why a source is left: the peer has said all that it will. */
const ANSWERED = new Error('the peer has answered');

/** How an upload ended, where it didn't fail on the way. */
export interface UploadOutcome {
  /** What the peer said instead of OK, when it had been sent everything; undefined when it has the blob. */
  readonly refusal: RemoteStoreError | undefined;
}

/**
 * A `ByteStream.Write`. A peer that has the blob answers early, and the rest of the source is then not read.
 *
 * @param zstd whether it is to travel compressed
 */
export async function upload(
  peer: Peer,
  digest: Digest,
  source: BlobSource,
  zstd: boolean,
  options: OperationOptions | undefined,
): Promise<UploadOutcome> {
  const compressor = zstd ? 'zstd' : 'identity';
  const name = formatUploadName({ instance: peer.instance, digest, compressor, uuid: randomUUID() });
  const call = await peer.stream(WRITE, 'upload', options);
  const content = new UploadSource(source, digest.size);
  const mostBytes = Math.min(CHUNK_BYTES, peer.maxMessageBytes - MESSAGE_ROOM);
  const message = new UploadMessage(name, Math.min(mostBytes, Math.max(1, digest.size + (zstd ? 1024 : 0))));
  const answer = readAnswer(peer, call);
  // Whatever ends the call ends the source.
  answer.then(
    () => content.stop(ANSWERED),
    () => content.stop(ANSWERED),
  );
  let sentAll = false;
  try {
    sentAll = await sendAll(call, message, zstd ? compressStream(content) : content);
  } catch (error) {
    if (error !== ANSWERED) {
      call.cancel(error);
      throw error;
    }
  } finally {
    content.stop(ANSWERED);
  }
  let committed: number;
  try {
    committed = await answer;
  } catch (error) {
    if (hasStatus(error, CODES.ALREADY_EXISTS)) return { refusal: undefined };
    if (sentAll && hasStatus(error, CODES.INVALID_ARGUMENT)) return { refusal: error };
    throw error;
  }
  // A peer that has the blob gives its size, or −1 when it is sent compressed; after all of it some count what came.
  if (committed === digest.size || (zstd && (committed === -1 || (sentAll && committed === message.offset))))
    return { refusal: undefined };
  throw peer.failure('invalid', `ByteStream.Write of ${digest} was answered with ${committed} bytes committed`, {
    retryable: true,
  });
}

/** Whether everything was sent before the call ended. */
async function sendAll(call: StreamCall, message: UploadMessage, content: AsyncIterable<Uint8Array>): Promise<boolean> {
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length; ) {
      // A full one stays until there is more: only the last says that it is the last.
      if (message.isFull) await call.send(message.encode(false));
      if (call.ended) return false;
      at += message.add(chunk, at);
    }
  }
  await call.send(message.encode(true));
  const { ended } = call;
  call.halfClose();
  return !ended;
}

/** What the peer has committed, when it says so; it may do that before it has everything. */
async function readAnswer(peer: Peer, call: StreamCall): Promise<number> {
  const message = await call.next();
  if (!message) throw peer.failure('invalid', 'ByteStream.Write ended without an answer');
  const { committedSize } = answered(peer, 'ByteStream.Write', () => decodeWriteResponse(message));
  if (await call.next()) throw peer.failure('invalid', 'ByteStream.Write was answered more than once');
  return committedSize;
}
