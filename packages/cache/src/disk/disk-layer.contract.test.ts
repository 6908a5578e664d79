import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualTime } from '@granary/resilience/testing';
import { describe, expect, it } from 'vitest';
import { bytesSerializer } from '../serializers/bytes-serializer.js';
import { layerContract } from '../testing/layer-contract.js';
import { openDiskLayer } from './disk-folder.js';

const MAX_BYTES = 16 * 2 ** 20;
const runner = { describe, it, expect };
const folder = () => mkdtempSync(join(tmpdir(), 'granary-cache-'));

layerContract(runner, 'DiskLayer', async () => {
  const time = new ManualTime();
  const directory = folder();
  return {
    layer: await openDiskLayer({ directory, maxBytes: MAX_BYTES, clock: time.clock }),
    advance: (ms) => time.advance(ms),
    now: time.clock,
    dispose: () => rmSync(directory, { recursive: true }),
  };
});

layerContract<Uint8Array>(
  runner,
  'DiskLayer of bytes',
  async () => {
    const directory = folder();
    return {
      layer: await openDiskLayer({ directory, maxBytes: MAX_BYTES, serializer: bytesSerializer() }),
      dispose: () => rmSync(directory, { recursive: true }),
    };
  },
  { samples: [Buffer.of(), Buffer.of(0), Buffer.alloc(4054, 1), Buffer.alloc(4055, 2), Buffer.alloc(20_000, 3)] },
);
