import { describe } from 'vitest';
import { describeFaults } from '../testing/fault-proxy/fault-matrix.js';

describe('a tier that may be missing, in a faulty network', () => describeFaults(false));
