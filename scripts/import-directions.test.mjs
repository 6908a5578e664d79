import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { wrongDirections } from './import-directions.mjs';

let root;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'granary-directions-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const manifest = (name, content) => {
  mkdirSync(join(root, 'packages', name), { recursive: true });
  writeFileSync(join(root, 'packages', name, 'package.json'), JSON.stringify(content));
};

it('imports may go down, to other packages of the registry, and nowhere else', () => {
  manifest('telemetry', { dependencies: { pino: '1' } });
  manifest('blobs', { dependencies: { '@granary/telemetry': '1', lmdb: '1' } });
  expect(wrongDirections(root)).toEqual([]);
  manifest('telemetry', { devDependencies: { '@granary/resilience': '1' } });
  manifest('blobs', { peerDependencies: { '@granary/reapi': '1', granary: '1' } });
  manifest('new', {});
  expect(wrongDirections(root).sort()).toEqual([
    'packages/blobs must not import @granary/reapi',
    'packages/blobs must not import granary',
    'packages/new has no place in the order of packages',
    'packages/telemetry must not import @granary/resilience',
  ]);
});
