import { type ChannelOptions, Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';

const CAS = '/build.bazel.remote.execution.v2.ContentAddressableStorage';

/** Calls whose empty request is a right one, by the right that they need. */
export const GRPC_CALLS = {
  health: '/grpc.health.v1.Health/Check',
  read: `${CAS}/FindMissingBlobs`,
  write: `${CAS}/BatchUpdateBlobs`,
} as const;

/** An encoded `FindMissingBlobsRequest` for one blob. */
export function findMissingRequest(hash: string, size: number): Buffer {
  const digest = Buffer.concat([Buffer.from([0x0a, hash.length]), Buffer.from(hash), Buffer.of(0x10), varint(size)]);
  return Buffer.concat([Buffer.from([0x12, digest.length]), digest]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

export function grpcClient(
  target: string,
  channel = credentials.createInsecure(),
  options: ChannelOptions = {},
): Client {
  return new Client(target, channel, { 'grpc.use_local_subchannel_pool': 1, ...options });
}

/** Makes a call with an empty request and answers with the name of its status and the response. */
export function call(
  client: Client,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  request: Buffer = Buffer.alloc(0),
): Promise<{ code: string; response: Buffer | undefined; error: ServiceError | null }> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const asIs = (bytes: Buffer) => bytes;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, asIs, asIs, request, metadata, { deadline: Date.now() + 10_000 }, (error, response) =>
      resolve({ code: status[error?.code ?? status.OK], response, error }),
    );
  });
}
