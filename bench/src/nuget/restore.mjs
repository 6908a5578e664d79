// One restore in a process of its own: node restore.mjs '{"how":"granary" | "undici", …}' or @FILE; with a folder, granary
// installs into it and undici hashes and keeps what comes. Prints what it took, from
// before the first request to after the last byte; loading the code isn't counted.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';

const job = JSON.parse(
  process.argv[2].startsWith('@') ? readFileSync(process.argv[2].slice(1), 'utf8') : process.argv[2],
);
const run = await (job.how === 'undici' ? prepareUndici(job) : prepareGranary(job));
const cpuBefore = process.cpuUsage();
const before = performance.now();
const packages = await run();
const ms = performance.now() - before;
const { user, system } = process.cpuUsage(cpuBefore);
const peakBytes = Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
process.stdout.write(JSON.stringify({ ms, cpuMs: (user + system) / 1000, packages, peakBytes }));

/** Resolves and downloads into the cache, which is what a restore does before it extracts; and that, too. */
async function prepareGranary({ feed, source = `${feed}/index.json`, cacheDir, roots, concurrency, folder }) {
  const { clientDependencies, clientPackages, NuGetClient, NuGetFramework, ...rest } = await import('@granary/nuget');
  const { PackageInstaller, resolveDependencies, VersionRange } = rest;
  return async () => {
    const client = new NuGetClient({ sources: [{ name: 'feed', sourceUrl: source }], cacheDir });
    const graph = await resolveDependencies({
      provider: clientDependencies(client, { read: 'package' }),
      dependencies: roots.map((id) => ({ id, range: VersionRange.parse('1.0.0') })),
      framework: NuGetFramework.parse('net8.0'),
      maxParallel: concurrency,
    });
    if (!graph.success) throw new Error(graph.diagnostics.map(({ message }) => message).join('\n'));
    let { length } = graph.packages;
    if (folder !== undefined) {
      const installer = new PackageInstaller({ folder, packages: clientPackages(client), maxParallel: 8 });
      const results = await installer.install(graph.packages);
      length = results.filter(({ outcome }) => outcome === 'installed').length;
    }
    await client.close();
    return length;
  };
}

/** Fetches what the restore asked for, all of it known before; with a folder it is hashed and kept, too. */
async function prepareUndici({ feed, urls, concurrency, folder }) {
  const { Agent, request } = await import('undici');
  const keep = async (name, body) => {
    const file = await open(`${folder}/${name}`, 'wx');
    const hash = createHash('sha512');
    for await (const chunk of body) {
      hash.update(chunk);
      await file.write(chunk);
    }
    await file.close();
    return hash.digest('base64');
  };
  return async () => {
    const agent = new Agent({ connections: concurrency });
    const left = [...urls];
    const fetchSome = async () => {
      for (let url = left.shift(); url !== undefined; url = left.shift()) {
        const { body, statusCode } = await request(`${feed}${url}`, { dispatcher: agent });
        if (statusCode !== 200) throw new Error(`${url}: ${statusCode}`);
        if (folder !== undefined) await keep(url.replaceAll('/', '_'), body);
        else for await (const chunk of body) void chunk;
      }
    };
    await Promise.all(Array.from({ length: concurrency }, fetchSome));
    await agent.close();
    return urls.length;
  };
}
