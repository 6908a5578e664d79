import { execFileSync, spawnSync } from 'node:child_process';
import { relative } from 'node:path';

/** Longer than the limit of any test with its second try, and than any hook. */
const LIMIT_MS = 10 * 60_000;

/**
 * A reporter for vitest that ends what stands still. A test that never gives its process a turn can't be ended by its own
 * time limit: a loop that goes on for ever, or a command that is waited for synchronously. When no test has ended for as
 * long as the limit, this names the files that are running with the test that ended last in each, and shows the processes
 * below this one and the threads of the workers: what each waits for, and how long it was busy. It ends first those that the
 * workers have started, so that the test which waits for one fails, and half a limit later the workers. Each line
 * starts like those that sum up a run, since no test tells of it.
 */
export default class StalledFiles {
  #limitMs;
  /** Of each file that is running the test that ended last. @type {Map<string, string | undefined>} */
  #running = new Map();
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
    this.#running.set(relative(process.cwd(), moduleId), undefined);
    this.#turned();
  }

  onTestModuleEnd({ moduleId }) {
    this.#running.delete(relative(process.cwd(), moduleId));
    this.#turned();
  }

  onTestCaseResult({ module, fullName }) {
    this.#running.set(relative(process.cwd(), module.moduleId), fullName);
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
    const seconds = Math.round(still / 1000);
    for (const [file, test] of this.#running) {
      console.error(
        `unfinished: ${file}: stands still for ${seconds} s, ${test ? `after ${test}` : 'before its first test'}`,
      );
    }
    console.error('unfinished: what is running meanwhile, and what its threads wait for:');
    for (const { line } of processes) console.error(`unfinished:   ${line}`);
    for (const line of threadsOf(workers)) console.error(`unfinished:   ${line}`);
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

/** What `ps` says of the threads of these processes: state, processor time, where in the kernel each waits, name. */
function threadsOf(processes) {
  if (processes.length === 0) return [];
  const of = processes.map(({ pid }) => pid).join(',');
  const shown = ['-L', '-p', of, '-o', 'pid=,tid=,stat=,time=,wchan:32=,comm='];
  const { stdout } = spawnSync('ps', shown, { encoding: 'utf8', timeout: 30_000 }); // One that has ended is no error.
  return stdout.split('\n').filter((line) => line.trim() !== '');
}

function end(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
