import { describe } from 'vitest';
import { describeFaults } from '../../testing/fault-proxy/fault-matrix.js';
import { http } from '../../testing/fault-proxy/tier-under-test.js';

describe('a tier of type http in a faulty network', () => describeFaults(http, [true]));
