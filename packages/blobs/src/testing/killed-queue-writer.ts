import { join } from 'node:path';
import { WriteBehindQueue } from '../tiered/write-behind/write-behind-queue.js';
import { blobOf } from './content.js';

/**
 * Queues writes and does some of them, until it is killed; prints each that is certain to be kept, and each that is sent.
 * Run as a process of its own: `node killed-queue-writer.js FOLDER ROUND`.
 */
const [directory = '', round = '0'] = process.argv.slice(2);
const WRITERS = 4;

/** Waits until the system has it: what this process keeps for a reader that is slow would be lost with it. */
const say = (line: string) => new Promise<void>((resolve) => void process.stdout.write(`${line}\n`, () => resolve()));

const queue = await WriteBehindQueue.open({ directory: join(directory, 'queue') });
let sent = 0;
queue.start([
  {
    tier: 'far',
    sendBlob: async (digest) => {
      await say(`sent ${digest}`);
      // Every other one takes its time, so that kills come in the middle of writes.
      if (sent++ % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      return true;
    },
    sendActionResult: async (key) => {
      await say(`sent ${key}`);
      return true;
    },
  },
]);

async function write(writer: number): Promise<void> {
  for (let i = 0; ; i++) {
    const { digest } = blobOf(10, `${round}/${writer}/${i}`);
    await queue.blob('far', digest);
    await say(`kept ${digest}`);
    const key = `${round}-${writer}-${i}`;
    await queue.actionResult('far', key);
    await say(`kept ${key}`);
  }
}

await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
