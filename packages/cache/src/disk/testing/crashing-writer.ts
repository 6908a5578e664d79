import { bytesSerializer } from '../../serializers/bytes-serializer.js';
import { DiskFolder } from '../disk-folder.js';
import type { DiskLayer } from '../disk-layer.js';
import { applyTo, changeOf, NAMESPACES } from './changes.js';

/**
 * Changes its namespaces until it is killed, each beginning with the change SEED, and prints `begins|done NAMESPACE SEED`
 * for each change. Run as a process of its own: `node crashing-writer.js FOLDER MAX_BYTES SEED`.
 */
const [directory = '', maxBytes = '0', seed = '0'] = process.argv.slice(2);
const folder = await DiskFolder.open({ directory });

/** Waits until the system has it: what this process keeps for a reader that is slow would be lost with it. */
const say = (line: string) => new Promise<void>((resolve) => void process.stdout.write(`${line}\n`, () => resolve()));

async function changeForEver(layer: DiskLayer<Uint8Array>): Promise<void> {
  for (let i = Number(seed); ; i++) {
    await say(`begins ${layer.namespace} ${i}`);
    await applyTo(layer, changeOf(i));
    await say(`done ${layer.namespace} ${i}`);
  }
}

await Promise.all(
  NAMESPACES.map((namespace) =>
    changeForEver(folder.layer({ namespace, maxBytes: Number(maxBytes), serializer: bytesSerializer() })),
  ),
);
