import { execFileSync } from 'node:child_process';
import { relative } from 'node:path';

/** Longer than the limit of any test with its second try, and than any hook. */
const LIMIT_MS = 10 * 60_000;

/**
 * A reporter for vitest that ends what stands still. A test that never gives its process a turn can't be ended by its own
 * time limit: a loop that goes on for ever, or a command that is waited for synchronously. When no test has ended for as
 * long as the limit, this names the files that are running and shows the processes below this one. It ends first those that
 * the workers have started, so that the test which waits for one fails, and half a limit later the workers.
 */
export default class StalledFiles {
  #limitMs;
  /** @type {Set<string>} */
  #running = new Set();
  #ended = performance.now();
  #calls = 0;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  constructor({ limitMs = LIMIT_MS } = {}) {
    this.#limitMs = limitMs;
  }

  onTestRunStart() {
    this.#turned();
    this.#timer = setInterval(() => this.#look(), this.#limitMs / 20).unref();
  }

  onTestModuleQueued({ moduleId }) {
    this.#running.add(relative(process.cwd(), moduleId));
    this.#turned();
  }

  onTestModuleEnd({ moduleId }) {
    this.#running.delete(relative(process.cwd(), moduleId));
    this.#turned();
  }

  onTestCaseResult() {
    this.#turned();
  }

  onTestRunEnd() {
    clearInterval(this.#timer);
  }

  #turned() {
    this.#ended = performance.now();
    this.#calls = 0;
  }

  #look() {
    const still = performance.now() - this.#ended;
    if (still < this.#limitMs * (1 + this.#calls / 2)) return;
    const processes = descendants(process.pid);
    const workers = processes.filter(({ parent }) => parent === process.pid);
    const others = processes.filter(({ parent }) => parent !== process.pid);
    console.error(`No test has ended for ${Math.round(still / 1000)} s. Running: ${[...this.#running].join(', ')}`);
    for (const { line } of processes) console.error(`  ${line}`);
    for (const { pid } of this.#calls++ === 0 && others.length > 0 ? others : workers) end(pid);
  }
}

/** The processes below one, and what `ps` says of each: state, processor time, arguments. */
function descendants(root) {
  const listed = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,time=,args='], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  const all = listed
    .split('\n')
    .filter((line) => line.trim() && !line.includes('ps -A -o pid=,ppid=')) // This very listing.
    .map((line) => {
      const [pid, parent] = line.trim().split(/\s+/, 2).map(Number);
      return { pid, parent, line: line.trim().slice(0, 200) };
    });
  const below = [];
  for (const parents = [root]; parents.length > 0; ) {
    const parent = parents.shift();
    const children = all.filter((each) => each.parent === parent);
    below.push(...children);
    parents.push(...children.map(({ pid }) => pid));
  }
  return below;
}

function end(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
