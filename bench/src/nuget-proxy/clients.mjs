// Clients that restore: what each takes for 150 packages from one source, into folders that are empty. They are given the
// ids of the packages at the top, and find the others themselves; nuget.exe is told all of them by packages.config.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COUNT } from '../nuget/packages.mjs';
import { runToEnd } from '../process.mjs';

const RESTORE = fileURLToPath(new URL('../nuget/restore.mjs', import.meta.url));
const CONCURRENCY = 8;

/** Each with why it can't run here, if so, and `restore`, which says how many milliseconds it took. */
export const clients = {
  granary: { missing: undefined, restore: granary },
  dotnet: { missing: find('dotnet') ? undefined : 'dotnet is not on the path', restore: dotnet },
  'nuget.exe': { missing: missingNuGetExe(), restore: nugetExe },
};

/** `PackageInstaller` of a process that has nothing; loading its code isn't counted. */
async function granary({ source, packages, directory }) {
  const folder = join(directory, 'global');
  const job = { how: 'granary', source, cacheDir: join(directory, 'http'), folder, concurrency: CONCURRENCY };
  const roots = rootsOf(packages).map(({ id }) => id);
  const done = JSON.parse(await runToEnd(process.execPath, [RESTORE, JSON.stringify({ ...job, roots })]));
  if (done.packages !== COUNT) throw new Error(`granary installed ${done.packages} of ${COUNT} packages`);
  return done.ms;
}

/** The whole process, with the MSBuild that it starts. */
async function dotnet({ source, packages, directory }) {
  const items = rootsOf(packages).map(({ id, version }) => `<PackageReference Include="${id}" Version="${version}" />`);
  const properties = '<PropertyGroup><TargetFramework>netstandard2.1</TargetFramework></PropertyGroup>';
  const project = `<Project Sdk="Microsoft.NET.Sdk">${properties}<ItemGroup>${items.join('')}</ItemGroup></Project>`;
  writeFileSync(join(directory, 'app.csproj'), project);
  writeFileSync(join(directory, 'nuget.config'), configOf(source));
  const ms = await timed('dotnet', ['restore', '-nodeReuse:false'], directory);
  check('dotnet', join(directory, 'global'));
  return ms;
}

async function nugetExe({ source, packages, directory }) {
  const lines = packages.map(({ id, version }) => `<package id="${id}" version="${version}" />`);
  writeFileSync(join(directory, 'packages.config'), `<packages>${lines.join('')}</packages>`);
  writeFileSync(join(directory, 'nuget.config'), configOf(source));
  const exe = createRequire(import.meta.url).resolve('nuget-exe');
  const args = [exe, 'restore', 'packages.config', '-PackagesDirectory', 'packages', '-ConfigFile', 'nuget.config'];
  const ms = await timed('mono', [...args, '-NonInteractive'], directory);
  check('nuget.exe', join(directory, 'packages'));
  return ms;
}

/**
 * Runs a client in a new folder below another one. What it writes is left there: a file system may take ten times as long to
 * make files just after many were removed.
 */
export async function restoreIn(scratch, client, source, packages) {
  const directory = mkdtempSync(join(scratch, 'restore-'));
  return clients[client].restore({ source, packages, directory });
}

function rootsOf(packages) {
  return packages.filter(({ layer }) => layer === 0);
}

function configOf(source) {
  const add = `<add key="bench" value="${source}" protocolVersion="3" />`;
  return `<configuration><packageSources><clear />${add}</packageSources></configuration>`;
}

async function timed(command, args, directory) {
  // What a client keeps for itself, such as that it was started before, it keeps from one run to the next.
  const home = join(directory, '..', 'home');
  mkdirSync(home, { recursive: true });
  const env = {
    ...process.env,
    HOME: home,
    NUGET_PACKAGES: join(directory, 'global'),
    NUGET_HTTP_CACHE_PATH: join(directory, 'http'),
    DOTNET_CLI_TELEMETRY_OPTOUT: '1',
    DOTNET_NOLOGO: '1',
    DOTNET_SKIP_FIRST_TIME_EXPERIENCE: '1',
  };
  const start = performance.now();
  const child = spawn(command, args, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output = (output + chunk).slice(-4000);
    });
  }
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${output}`);
  return performance.now() - start;
}

function check(client, folder) {
  const { length } = readdirSync(folder);
  if (length !== COUNT) throw new Error(`${client} restored ${length} of ${COUNT} packages`);
}

function missingNuGetExe() {
  if (!find('mono')) return 'mono is not on the path';
  try {
    createRequire(import.meta.url).resolve('nuget-exe');
    return undefined;
  } catch {
    return 'the package nuget-exe is not installed';
  }
}

function find(command) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, command)));
}
