// node deploy/kubernetes/render.mjs: what the chart makes of each values-*.yaml, by helm, in rendered/. For those
// without Helm, and so that a change of the chart shows what it changes. The first line says which sources it was made from,
// so that it can be seen without Helm whether it is up to date.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const CHART = join(FOLDER, 'granary');

/** Each file with values, what is made of it, and from which sources. */
export const renderings = readdirSync(FOLDER)
  .map((file) => /^values-(.+)\.yaml$/.exec(file))
  .filter((match) => match !== null)
  .map(([values, name]) => ({
    values: join(FOLDER, values),
    target: join(FOLDER, 'rendered', `${name}.yaml`),
    firstLine: `# Made by deploy/kubernetes/render.mjs of ${values}; sources ${fingerprint(values)}.`,
  }));

/** What helm says. Throws with its message where it fails. */
export function render(values, ...flags) {
  const args = ['template', 'granary', CHART, '--namespace', 'granary', '--kube-version', '1.30.0', '--values', values];
  const { status, stdout, stderr, error } = spawnSync('helm', [...args, ...flags], { encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** Of what decides about the outcome. The rules are copied as they are, and not part of it. */
function fingerprint(values) {
  const files = readdirSync(CHART, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'rules.yaml')
    .map((entry) => join(entry.parentPath, entry.name));
  const hash = createHash('sha256');
  for (const file of [...files, join(FOLDER, values)].sort())
    hash.update(`${relative(FOLDER, file)}\0${readFileSync(file, 'utf8').replaceAll('\r\n', '\n')}\0`);
  return hash.digest('hex').slice(0, 16);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(join(FOLDER, 'rendered'), { recursive: true });
  for (const { values, target, firstLine } of renderings) writeFileSync(target, `${firstLine}\n${render(values)}`);
}
