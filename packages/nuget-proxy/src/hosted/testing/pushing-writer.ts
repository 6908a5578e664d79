import { changeOf, contentOf } from './changes.js';
import { HostedUnderTest } from './hosted-under-test.js';

/**
 * Pushes, unlists and lists packages until it is killed, and prints `begins|done WORKER NUMBER` for each change. Run as a
 * process of its own: `node pushing-writer.js FOLDER FIRST`.
 */
const [folder = '', first = '0'] = process.argv.slice(2);
const WORKERS = 4;
const hosted = await HostedUnderTest.open({ stores: { folder, disk: { smallBlobBytes: 0 } } });

/** Waits until the system has it: what this process keeps for a reader that is slow would be lost with it. */
const say = (line: string) => new Promise<void>((resolve) => void process.stdout.write(`${line}\n`, () => resolve()));

async function changeForEver(worker: number): Promise<void> {
  for (let number = Number(first); ; number++) {
    const { what, id, version } = changeOf(worker, number, Number(first));
    await say(`begins ${worker} ${number}`);
    if (what === 'push') await hosted.push(contentOf(id, version));
    else await hosted[what](id, version);
    await say(`done ${worker} ${number}`);
  }
}

await Promise.all(Array.from({ length: WORKERS }, (_, worker) => changeForEver(worker)));
