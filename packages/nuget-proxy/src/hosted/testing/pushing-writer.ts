import { changeOf, contentOf } from './changes.js';
import { HostedUnderTest } from './hosted-under-test.js';

/**
 * Pushes, unlists and lists packages until it is killed, and prints `begins|done WORKER NUMBER` for each change. Run as a
 * process of its own: `node pushing-writer.js FOLDER FIRST`.
 */
const [folder = '', first = '0'] = process.argv.slice(2);
const WORKERS = 4;
const hosted = await HostedUnderTest.open({ stores: { folder, disk: { smallBlobBytes: 0 } } });

async function changeForEver(worker: number): Promise<void> {
  for (let number = Number(first); ; number++) {
    const { what, id, version } = changeOf(worker, number, Number(first));
    process.stdout.write(`begins ${worker} ${number}\n`);
    if (what === 'push') await hosted.push(contentOf(id, version));
    else await hosted[what](id, version);
    process.stdout.write(`done ${worker} ${number}\n`);
  }
}

await Promise.all(Array.from({ length: WORKERS }, (_, worker) => changeForEver(worker)));
