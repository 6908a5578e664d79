import { describe, expect, it } from 'vitest';
import { FakeRedis } from '../testing/fake-redis.js';
import { layerContract } from '../testing/layer-contract.js';
import { RedisLayer } from './redis-layer.js';

layerContract({ describe, it, expect }, 'RedisLayer on FakeRedis', () => {
  let time = 1_800_000_000_000;
  const clock = () => time;
  const layer = new RedisLayer<unknown>({ connection: new FakeRedis({ clock }), clock });
  return {
    layer,
    now: clock,
    advance: (ms) => {
      time += ms;
    },
  };
});
