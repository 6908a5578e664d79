// The same load on several servers in short turns, from one process, so that a drift of the machine's speed hits all alike:
// node paired-load.mjs '{"row": NAME, "servers": [{"grpc": PORT, "http": PORT, "scrape": URL?, "pid": PID?}, …],
//   "turns": N, "turnMs": M}'.
// Prints one line of JSON: for each server its operations, seconds and bytes, turn by turn, and where its process is named
// what its main thread took of a processor in its own turns, since an idle server wakes up now and then, too.
import { openOperation, run } from './operations.mjs';
import { mainThreadSeconds } from './process.mjs';
import { ROWS } from './requests.mjs';

/** A server that is scraped is so once in a second of its own load. */
const SCRAPE_EVERY_MS = 1000;

const { row: name, servers, turns, turnMs } = JSON.parse(process.argv[2]);
const row = ROWS.find((each) => each.name === name);

const sides = [];
for (const server of servers) {
  sides.push({ server, operation: await openOperation(row, server), operations: [], seconds: [], bytes: [], cpu: [] });
}
for (let turn = 0; turn < turns; turn++) {
  for (const side of turn % 2 ? sides.toReversed() : sides) {
    const { pid } = side.server;
    const before = pid && mainThreadSeconds(pid);
    const scrape = (turn * turnMs) % SCRAPE_EVERY_MS < turnMs && side.server.scrape;
    const scraped = scrape && fetch(scrape).then((response) => response.arrayBuffer());
    const done = await run(side.operation.once, row.concurrency, { seconds: turnMs / 1000 });
    await scraped;
    if (pid) side.cpu.push(mainThreadSeconds(pid) - before);
    side.operations.push(done.operations);
    side.seconds.push(done.seconds);
    side.bytes.push(done.bytes);
  }
}
for (const { operation } of sides) operation.close();
console.log(JSON.stringify(sides.map(({ operations, seconds, bytes, cpu }) => ({ operations, seconds, bytes, cpu }))));
