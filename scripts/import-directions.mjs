// Which package may import which of ours: imports go only down (docs/architecture.md). What a package imports it must
// declare (the linter sees to that), and no source can reach outside its own package (the compiler's rootDir sees to
// that), so the manifests tell everything.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ALLOWED = {
  resilience: [],
  telemetry: [],
  cache: ['resilience', 'telemetry'],
  http: ['resilience', 'telemetry'],
  blobs: ['cache', 'http', 'resilience', 'telemetry'],
  reapi: ['blobs', 'cache', 'resilience', 'telemetry'],
  nuget: ['cache', 'http', 'resilience', 'telemetry'],
  'nuget-proxy': ['resilience', 'telemetry', 'cache', 'blobs', 'nuget'],
  granary: ['resilience', 'telemetry', 'cache', 'http', 'blobs', 'reapi', 'nuget', 'nuget-proxy'],
};

/**
 * The imports that go against the direction, one sentence each.
 *
 * @param {string} root
 * @returns {string[]}
 */
export function wrongDirections(root) {
  const wrong = [];
  for (const name of readdirSync(join(root, 'packages'))) {
    const allowed = ALLOWED[name];
    if (!allowed) {
      wrong.push(`packages/${name} has no place in the order of packages`);
      continue;
    }
    const manifest = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'));
    const declared = Object.keys({
      ...manifest.dependencies,
      ...manifest.devDependencies,
      ...manifest.peerDependencies,
      ...manifest.optionalDependencies,
    });
    for (const dependency of declared) {
      const target = dependency === 'granary' ? 'granary' : dependency.match(/^@granary\/(.+)$/)?.[1];
      if (target && !allowed.includes(target)) wrong.push(`packages/${name} must not import ${dependency}`);
    }
  }
  return wrong;
}
