// npm run check: everything about the sources that can be known without running them. Shows all that is wrong, not just
// the first.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { wrongDirections } from './import-directions.mjs';
import { run } from './run.mjs';
import { ROOT, setUp } from './setup.mjs';

await setUp('everything');

const bin = (name) => join(ROOT, 'node_modules', name);
const node = (title, ...args) => run(title, process.execPath, args, { cwd: ROOT });
const packages = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8')).references.map(({ path }) => path);

const results = [
  await node('format and lint', bin('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.'),
  await node('types', bin('typescript/bin/tsc'), '-b'),
  ...(await Promise.all(
    [...packages.map((path) => `${path}/tsconfig.test.json`).filter(isThere), 'e2e/tsconfig.json'].map((project) =>
      node(`types of ${project}`, bin('typescript/bin/tsc'), '-p', project),
    ),
  )),
  await node('unused files, exports and dependencies', bin('knip/bin/knip.js')),
  await node('generated code', 'scripts/generate-proto.mjs', '--check'),
  finding('import directions', wrongDirections(ROOT)),
  finding('lock file', [...downloadAddresses(), ...testsInTheServer()]),
];

console.log();
for (const { title, code, seconds } of results) {
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${title} (${seconds.toFixed(1)} s)`);
}
process.exitCode = results.some(({ code }) => code !== 0) ? 1 : 0;

/** Entry points that are built by themselves, for what they need, are tested with their package. */
function isThere(path) {
  return existsSync(join(ROOT, path));
}

/** A result in the shape of a command's, for what is checked right here. */
function finding(title, complaints) {
  for (const complaint of complaints) console.log(complaint);
  return { title, code: complaints.length ? 1 : 0, seconds: 0 };
}

/** A lock file with download addresses would tie everyone to one registry. */
function downloadAddresses() {
  const found = readFileSync(join(ROOT, 'package-lock.json'), 'utf8').match(/"resolved": "http/g);
  return found ? [`package-lock.json records ${found.length} download addresses`] : [];
}

/** What only tests need must not be installed by `npm start`: one optional peer of a package is enough to make it so. */
function testsInTheServer() {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  const { devDependencies } = packages[''];
  return Object.keys(devDependencies)
    .filter((name) => !packages[`node_modules/${name}`]?.dev)
    .map((name) => `${name} is there for tests, but a package makes \`npm start\` install it`);
}
