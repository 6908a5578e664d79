Buffer.poolSize = +(process.env.POOL ?? 8192);

import * as grpc from '@grpc/grpc-js';
import { DiskBlobStore } from '../../packages/blobs/dist/index.js';
import { createRemoteCache } from '../../packages/reapi/dist/index.js';

const [port, dir] = process.argv.slice(2);
const store = await DiskBlobStore.open({
  directory: dir,
  durability: process.env.DUR ?? 'data',
  maxBytes: 20 * 2 ** 30,
});
const cache = createRemoteCache({ blobs: store, actionResults: store.actionResults });
const server = new grpc.Server({ 'grpc.max_receive_message_length': 4 << 20 });
cache.addTo(server);
server.bindAsync('127.0.0.1:' + port, grpc.ServerCredentials.createInsecure(), (e) => {
  if (e) throw e;
});
process.on('SIGTERM', async () => {
  server.forceShutdown();
  await store.close();
  process.exit(0);
});
