import { describe } from 'vitest';
import { describeFaults } from '../../testing/fault-proxy/fault-matrix.js';
import { s3 } from '../../testing/fault-proxy/tier-under-test.js';

describe('a tier of type s3 in a faulty network', () => describeFaults(s3, [true]));
