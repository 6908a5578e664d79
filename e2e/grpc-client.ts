import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import * as reapi from '../packages/reapi/src/gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import * as bytestream from '../packages/reapi/src/gen/google/bytestream/bytestream_pb.js';

const CAS = '/build.bazel.remote.execution.v2.ContentAddressableStorage';
const ACTIONS = '/build.bazel.remote.execution.v2.ActionCache';
const STREAM = '/google.bytestream.ByteStream';
const DEADLINE_MS = 20_000;
const MESSAGE_BYTES = 16 * 1024;

export interface NamedBlob {
  readonly hash: string;
  readonly data: Buffer;
}

/** A client of the remote cache that is made of generated code alone, and shares no codec with the server. */
export class CacheClient {
  readonly #client: grpc.Client;
  readonly #metadata = new grpc.Metadata();

  /** @param metadata sent with each call; names that end in `-bin` have bytes */
  constructor(port: number, metadata: Readonly<Record<string, string | Buffer>> = {}) {
    for (const [name, value] of Object.entries(metadata)) this.#metadata.set(name, value);
    this.#client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  /** Uploads in one batch; answers with the hashes that were stored. */
  async batchUpdate(blobs: readonly NamedBlob[]): Promise<string[]> {
    const requests = blobs.map(({ hash, data }) => ({ digest: digest(hash, data.length), data }));
    const { responses } = await this.#unary(
      `${CAS}/BatchUpdateBlobs`,
      reapi.BatchUpdateBlobsRequestSchema,
      reapi.BatchUpdateBlobsResponseSchema,
      { requests },
    );
    return responses.filter(({ status }) => !status?.code).map((response) => response.digest?.hash ?? '');
  }

  async findMissing(blobs: readonly { readonly hash: string; readonly size: number }[]): Promise<Set<string>> {
    const { missingBlobDigests } = await this.#unary(
      `${CAS}/FindMissingBlobs`,
      reapi.FindMissingBlobsRequestSchema,
      reapi.FindMissingBlobsResponseSchema,
      { blobDigests: blobs.map(({ hash, size }) => digest(hash, size)) },
    );
    return new Set(missingBlobDigests.map(({ hash }) => hash));
  }

  /** Reads blobs in one batch; answers with those that are there, by their hashes. */
  async batchRead(
    blobs: readonly { readonly hash: string; readonly size: number }[],
  ): Promise<Map<string, Uint8Array>> {
    const { responses } = await this.#unary(
      `${CAS}/BatchReadBlobs`,
      reapi.BatchReadBlobsRequestSchema,
      reapi.BatchReadBlobsResponseSchema,
      { digests: blobs.map(({ hash, size }) => digest(hash, size)) },
    );
    const found = responses.filter(({ status }) => !status?.code);
    return new Map(found.map((response) => [response.digest?.hash ?? '', response.data]));
  }

  /** Looks an action up; answers whether there is a result. */
  async hasActionResult(hash: string, size: number): Promise<boolean> {
    try {
      await this.#unary(`${ACTIONS}/GetActionResult`, reapi.GetActionResultRequestSchema, reapi.ActionResultSchema, {
        actionDigest: digest(hash, size),
      });
      return true;
    } catch (error) {
      if ((error as grpc.ServiceError).code === grpc.status.NOT_FOUND) return false;
      throw error;
    }
  }

  /** Stores the result of an action that made nothing but what it printed. */
  async updateActionResult(hash: string, size: number, printed: Uint8Array): Promise<void> {
    await this.#unary(
      `${ACTIONS}/UpdateActionResult`,
      reapi.UpdateActionResultRequestSchema,
      reapi.ActionResultSchema,
      {
        actionDigest: digest(hash, size),
        actionResult: { stdoutRaw: printed },
      },
    );
  }

  /** Uploads as Bazel does: in messages of 16 KiB, the name in the first only. */
  write({ hash, data }: NamedBlob, uploadId: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const call = this.#client.makeClientStreamRequest(
        `${STREAM}/Write`,
        (message: MessageInitShape<typeof bytestream.WriteRequestSchema>) =>
          encode(bytestream.WriteRequestSchema, message),
        decoder(bytestream.WriteResponseSchema),
        this.#metadata,
        deadline(),
        (error, response) => {
          if (error) reject(error);
          else if (Number(response?.committedSize) === data.length) resolve();
          else reject(new Error(`committed ${response?.committedSize} of ${data.length}`));
        },
      );
      for (let offset = 0; offset < data.length; offset += MESSAGE_BYTES) {
        const end = Math.min(offset + MESSAGE_BYTES, data.length);
        call.write({
          resourceName: offset === 0 ? `uploads/${uploadId}/blobs/${hash}/${data.length}` : '',
          writeOffset: BigInt(offset),
          data: data.subarray(offset, end),
          finishWrite: end === data.length,
        });
      }
      call.end();
    });
  }

  read(hash: string, size: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const call = this.#client.makeServerStreamRequest(
        `${STREAM}/Read`,
        (message: MessageInitShape<typeof bytestream.ReadRequestSchema>) =>
          encode(bytestream.ReadRequestSchema, message),
        decoder(bytestream.ReadResponseSchema),
        { resourceName: `blobs/${hash}/${size}` },
        this.#metadata,
        deadline(),
      );
      const chunks: Uint8Array[] = [];
      call.on('data', (message: MessageShape<typeof bytestream.ReadResponseSchema>) => chunks.push(message.data));
      call.on('error', reject);
      call.on('end', () => resolve(Buffer.concat(chunks)));
    });
  }

  close(): void {
    this.#client.close();
  }

  #unary<Request extends DescMessage, Response extends DescMessage>(
    path: string,
    requestSchema: Request,
    responseSchema: Response,
    request: MessageInitShape<Request>,
  ): Promise<MessageShape<Response>> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        (message: MessageInitShape<Request>) => encode(requestSchema, message),
        decoder(responseSchema),
        request,
        this.#metadata,
        deadline(),
        (error, response) => (error || !response ? reject(error) : resolve(response)),
      );
    });
  }
}

function encode<Schema extends DescMessage>(schema: Schema, message: MessageInitShape<Schema>): Buffer {
  return Buffer.from(toBinary(schema, create(schema, message)));
}

function decoder<Schema extends DescMessage>(schema: Schema): (bytes: Buffer) => MessageShape<Schema> {
  return (bytes) => fromBinary(schema, bytes);
}

function digest(hash: string, size: number): { hash: string; sizeBytes: bigint } {
  return { hash, sizeBytes: BigInt(size) };
}

function deadline(): grpc.CallOptions {
  return { deadline: Date.now() + DEADLINE_MS };
}
