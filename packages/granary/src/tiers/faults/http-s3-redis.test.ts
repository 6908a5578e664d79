import { describe, it } from 'vitest';
import { whyNoRedis } from '../../../../cache/src/redis/testing/redis-server.js';
import { describeFaults } from '../../testing/fault-proxy/fault-matrix.js';
import { http, redis, s3 } from '../../testing/fault-proxy/tier-under-test.js';

// In one file, so that what all three need is loaded once.
describe('a tier of type http in a faulty network', () => describeFaults(http, [true]));
describe('a tier of type s3 in a faulty network', () => describeFaults(s3, [true]));

const missing = whyNoRedis();
if (missing) it.skip(`a tier of type redis in a faulty network: ${missing}`, () => {});

describe.skipIf(missing)('a tier of type redis in a faulty network', () => describeFaults(redis, [true]));
