import { describe } from 'vitest';
import { describeFaults } from '../testing/fault-proxy/fault-matrix.js';

describe('a required tier in a faulty network', () => describeFaults(true));
