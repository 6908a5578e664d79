import { describe } from 'vitest';
import { describeFaults } from '../../testing/fault-proxy/fault-matrix.js';
import { grpc } from '../../testing/fault-proxy/tier-under-test.js';

describe('a tier of type grpc in a faulty network', () => describeFaults(grpc, [true, false]));
