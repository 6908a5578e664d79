import { connectivityState, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { freePort } from '../../../../cache/src/redis/testing/free-port.js';
import { Channels } from './channels.js';

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

function channelsTo(port: number, backoffMs: number, count = 2): Channels {
  const options = { 'grpc.initial_reconnect_backoff_ms': backoffMs, 'grpc.max_reconnect_backoff_ms': backoffMs };
  const channels = new Channels(`127.0.0.1:${port}`, credentials.createInsecure(), options, count);
  ended.push(() => channels.close());
  return channels;
}

/** Takes a connection that finds nobody. */
async function lose(channels: Channels) {
  const seat = channels.take();
  seat.channel.getConnectivityState(true);
  await expect
    .poll(() => seat.channel.getConnectivityState(false), { interval: 5 })
    .toBe(connectivityState.TRANSIENT_FAILURE);
  channels.leave(seat, false);
  return seat;
}

it('gives a call to the connection with the fewest', () => {
  const channels = channelsTo(1, 1000, 3);
  const seats = [channels.take(), channels.take(), channels.take()];
  expect(new Set(seats).size).toBe(3);
  channels.leave(seats[1]!, false);
  expect(channels.take()).toBe(seats[1]);
});

it('gives no call to a connection that was lost, whose calls fail at once, while there is another', async () => {
  const channels = channelsTo(await freePort(), 60_000);
  const lost = await lose(channels);
  const others = Array.from({ length: 100 }, () => channels.take());
  expect(others).not.toContain(lost);
  const [other] = others;
  await lose(channels);
  for (const seat of others) channels.leave(seat, false);
  // When all are lost, one as good as the other.
  expect([lost, other]).toContain(channels.take());
});

it('gives calls to a connection again that came back by itself', async () => {
  const port = await freePort();
  const channels = channelsTo(port, 20);
  const lost = await lose(channels);
  const server = new Server();
  ended.push(() => server.forceShutdown());
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  const other = channels.take();
  expect(other).not.toBe(lost);
  await expect.poll(() => lost.channel.getConnectivityState(false), { timeout: 10_000 }).toBe(connectivityState.READY);
  expect(channels.take()).toBe(lost);
});
