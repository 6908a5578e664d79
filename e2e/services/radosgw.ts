import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../server.js';

const run = promisify(execFile);

/** What a cluster is made of; Debian has them in ceph-mon, ceph-mgr, ceph-osd, radosgw and ceph-common. */
export const CEPH_PROGRAMS = ['ceph-mon', 'ceph-mgr', 'ceph-osd', 'radosgw', 'radosgw-admin', 'ceph'];

const READY_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 10_000;

/** Ceph's S3 gateway over a cluster of one of everything, on loopback. */
export interface Radosgw extends AsyncDisposable {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Starts a cluster in a temporary folder, whose objects are in memory; nobody but this process has its keys. */
export async function startRadosgw(): Promise<Radosgw> {
  const folder = await mkdtemp(join(tmpdir(), 'granary-ceph-'));
  const cluster = new Cluster(folder);
  try {
    return await cluster.start();
  } catch (error) {
    const logs = await cluster.lastWords();
    await cluster.stop();
    throw new Error(`Ceph did not start:\n${logs}`, { cause: error });
  }
}

class Cluster {
  readonly #folder: string;
  readonly #config: string;
  readonly #daemons: { readonly name: string; readonly process: ChildProcess }[] = [];

  constructor(folder: string) {
    this.#folder = folder;
    this.#config = this.#path('ceph.conf');
  }

  async start(): Promise<Radosgw> {
    const gateway = await freePort();
    await this.#startMonitor();
    await this.#startManager();
    await this.#startStorage();
    await this.#keyring('client.rgw', 'mon', 'allow rw', 'osd', 'allow rwx');
    await this.#daemon('radosgw', '-f', '-n', 'client.rgw', '--rgw-frontends', `beast endpoint=127.0.0.1:${gateway}`);
    const endpoint = `http://127.0.0.1:${gateway}`;
    await this.#until('the gateway answers', () => fetch(endpoint).then((response) => response.ok));
    const [accessKeyId, secretAccessKey] = [`GRANARY${Date.now()}`, randomUUID()];
    const user = ['--uid', 'granary', '--display-name', 'granary', '--access-key', accessKeyId];
    await this.#run('radosgw-admin', 'user', 'create', ...user, '--secret-key', secretAccessKey);
    return { endpoint, accessKeyId, secretAccessKey, [Symbol.asyncDispose]: () => this.stop() };
  }

  async stop(): Promise<void> {
    for (const { process } of this.#daemons.reverse()) {
      if (process.exitCode !== null || process.signalCode !== null) continue;
      const ended = once(process, 'exit');
      process.kill('SIGTERM');
      const late = setTimeout(() => process.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(late);
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** What the daemons said last. */
  async lastWords(): Promise<string> {
    const logs = this.#daemons.map(async ({ name }) => {
      const text = await readFile(this.#path(`${name}.out`), 'utf8').catch(() => '');
      return `${name}:\n${text.slice(-1500)}`;
    });
    return (await Promise.all(logs)).join('\n');
  }

  async #startMonitor(): Promise<void> {
    const fsid = randomUUID();
    const addresses = `[v2:127.0.0.1:${await freePort()},v1:127.0.0.1:${await freePort()}]`;
    await writeFile(this.#config, this.#settings(fsid, addresses));
    const [monmap, keyring] = [this.#path('monmap'), this.#path('mon.keyring')];
    const admin = this.#path('client.admin.keyring');
    const all = ['mon', 'mgr', 'osd'].flatMap((kind) => ['--cap', kind, 'allow *']);
    await this.#run('ceph-authtool', '--create-keyring', keyring, '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *');
    await this.#run('ceph-authtool', '--create-keyring', admin, '--gen-key', '-n', 'client.admin', ...all);
    await this.#run('ceph-authtool', keyring, '--import-keyring', admin);
    await this.#run('monmaptool', '--create', '--fsid', fsid, '--addv', 'a', addresses, monmap);
    await this.#run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', monmap, '--keyring', keyring);
    await this.#daemon('ceph-mon', '-f', '-i', 'a');
    await this.#until('the monitor answers', async () => Boolean(await this.#run('ceph', 'mon', 'stat')));
  }

  async #startManager(): Promise<void> {
    await this.#keyring('mgr.x', 'mon', 'allow profile mgr', 'osd', 'allow *');
    await this.#daemon('ceph-mgr', '-f', '-i', 'x');
  }

  async #startStorage(): Promise<void> {
    const uuid = randomUUID();
    await this.#run('ceph', 'osd', 'new', uuid);
    await this.#keyring('osd.0', 'mon', 'allow profile osd', 'mgr', 'allow profile osd', 'osd', 'allow *');
    await mkdir(this.#path('osd.0'));
    await this.#run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', uuid);
    await this.#daemon('ceph-osd', '-f', '-i', '0');
    await this.#until('the storage is up', async () => / 1 up\b/.test(await this.#run('ceph', 'osd', 'stat')));
  }

  #settings(fsid: string, monitor: string): string {
    return `[global]
fsid = ${fsid}
mon host = ${monitor}
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = ${this.#folder}/$name.keyring
log file =
log to stderr = true
run dir = ${this.#folder}
admin socket =
mon data = ${this.#folder}/$name
mgr data = ${this.#folder}/$name
osd data = ${this.#folder}/$name
rgw data = ${this.#folder}/$name
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 0
mon data avail warn = 0
mgr initial modules =
rgw thread pool size = 32
`;
  }

  async #keyring(name: string, ...capabilities: string[]): Promise<void> {
    await this.#run('ceph', 'auth', 'get-or-create', name, ...capabilities, '-o', this.#path(`${name}.keyring`));
  }

  async #run(program: string, ...args: string[]): Promise<string> {
    const { stdout } = await run(program, ['-c', this.#config, ...args], { timeout: 30_000 });
    return stdout;
  }

  async #daemon(program: string, ...args: string[]): Promise<void> {
    const out = await open(this.#path(`${program}.out`), 'w');
    try {
      const stdio = ['ignore', out.fd, out.fd] as const;
      // However the tests end, nothing is to stay behind.
      const command = ['--pdeathsig', 'KILL', program, '-c', this.#config, ...args];
      const process = spawn('setpriv', command, { stdio: [...stdio], cwd: this.#folder });
      this.#daemons.push({ name: program, process });
    } finally {
      await out.close();
    }
  }

  async #until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    for (;;) {
      const gone = this.#daemons.find(({ process }) => process.exitCode !== null || process.signalCode !== null);
      if (gone) throw new Error(`${gone.name} ended with ${gone.process.exitCode ?? gone.process.signalCode}`);
      if (await isSo().catch(() => false)) return;
      if (Date.now() > deadline) throw new Error(`timed out until ${what}`);
      await sleep(100);
    }
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}
