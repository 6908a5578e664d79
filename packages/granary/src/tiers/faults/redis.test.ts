import { describe, it } from 'vitest';
import { whyNoRedis } from '../../../../cache/src/redis/testing/redis-server.js';
import { describeFaults } from '../../testing/fault-proxy/fault-matrix.js';
import { redis } from '../../testing/fault-proxy/tier-under-test.js';

const missing = whyNoRedis();
if (missing) it.skip(`a tier of type redis in a faulty network: ${missing}`, () => {});

describe.skipIf(missing)('a tier of type redis in a faulty network', () => describeFaults(redis, [true]));
