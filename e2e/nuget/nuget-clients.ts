import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const TIMEOUT_MS = 90_000;
const MAX_OUTPUT = 200_000;

/** A client of NuGet. */
export interface ClientKind {
  readonly title: string;
  /** Why it can't run here, if so. */
  readonly missing: string | undefined;
  /** Where its home has its configuration. */
  readonly configFolder: string;
  /** The program and its arguments that a command of the client comes to. */
  line(args: readonly string[]): readonly [string, ...string[]];
}

const MONO = find('mono');
/** What NuGet 5 needs of mono and Debian installs apart. */
const ASSEMBLIES = ['System.IO.Compression', 'System.IO.Compression.FileSystem', 'System.Net', 'System.Net.Http'];
ASSEMBLIES.push('System.Net.Http.Formatting', 'System.Net.Http.WebRequest', 'System.Json', 'System.ServiceProcess');

/** The last client of the 5.x line that is on npm: protocol 3, and 2 for lists. */
export const nuget5: ClientKind = {
  title: 'nuget.exe 5.8',
  missing: MONO === undefined ? 'mono is not installed' : missingAssemblies(MONO),
  configFolder: '.config/NuGet',
  // Its package is that one file.
  line: (args) => ['mono', require.resolve('nuget-exe'), ...args, '-NonInteractive', '-ForceEnglishOutput'],
};

/** A client of before protocol 3. Without a terminal of some width it prints blank lines for ever. */
export const nuget2: ClientKind = {
  title: 'nuget 2.8.7',
  missing: missingOfNuGet2(),
  configFolder: '.config/NuGet',
  line: (args) => {
    const command = ['nuget', ...args, '-NonInteractive'].map(quoted).join(' ');
    return ['script', '-qefc', `stty cols 200; ${command}`, '/dev/null'];
  },
};

/** The .NET SDK, in whatever version is on the path. */
export const dotnet: ClientKind = {
  title: 'dotnet',
  missing: find('dotnet') === undefined ? 'dotnet is not installed' : undefined,
  configFolder: '.nuget/NuGet',
  line: (args) => ['dotnet', ...args],
};

export interface Source {
  readonly name: string;
  readonly url: string;
  readonly credentials?: { readonly username: string; readonly password: string };
}

export interface Ran {
  readonly exitCode: number | null;
  /** What it printed, to either stream, without control sequences. */
  readonly output: string;
  readonly tookMs: number;
}

/** Where a client runs: a home with nothing in it but its sources, so that it remembers nothing of other runs. */
export class NuGetHome {
  readonly directory: string;
  readonly #kind: ClientKind;

  constructor(kind: ClientKind, sources: readonly Source[]) {
    this.#kind = kind;
    this.directory = mkdtempSync(join(realpathSync(tmpdir()), 'granary-nuget-'));
    for (const folder of [kind.configFolder, 'tmp']) mkdirSync(join(this.directory, folder), { recursive: true });
    writeFileSync(join(this.directory, kind.configFolder, 'NuGet.Config'), configOf(sources));
  }

  /** Runs a command in the home's folder to its end, whatever that is. */
  async run(...args: string[]): Promise<Ran> {
    const [file, ...rest] = this.#kind.line(args);
    const begun = performance.now();
    // Nothing of our own environment: proxies, caches and feeds of the machine are none of the tests' business.
    const env = {
      PATH: process.env['PATH'],
      MONO_PATH: process.env['MONO_PATH'],
      TERM: 'xterm',
      HOME: this.directory,
      TMPDIR: join(this.directory, 'tmp'),
      NUGET_PACKAGES: join(this.directory, 'global'),
      NUGET_HTTP_CACHE_PATH: join(this.directory, 'http'),
      DOTNET_ROOT: process.env['DOTNET_ROOT'],
      DOTNET_CLI_TELEMETRY_OPTOUT: '1',
      DOTNET_NOLOGO: '1',
      DOTNET_SKIP_FIRST_TIME_EXPERIENCE: '1',
      // Works without ICU, too.
      DOTNET_SYSTEM_GLOBALIZATION_INVARIANT: '1',
    };
    const child = spawn(file, rest, { cwd: this.directory, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let output = '';
    const add = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-MAX_OUTPUT);
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    const timer = setTimeout(() => {
      output += `\n(ended after ${TIMEOUT_MS} ms)\n`;
      killGroup(child.pid);
    }, TIMEOUT_MS);
    try {
      const [exitCode] = (await once(child, 'close')) as [number | null];
      return { exitCode, output: plain(output), tookMs: performance.now() - begun };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Runs a command that has to succeed. */
  async succeed(...args: string[]): Promise<Ran> {
    const ran = await this.run(...args);
    if (ran.exitCode === 0 || hasDiedAtItsEnd(ran)) return ran;
    throw new Error(`${this.#kind.title}: ${args.join(' ')} ended with ${ran.exitCode}:\n${ran.output}`);
  }

  /** Runs a command that has to fail, in an orderly way. */
  async fail(...args: string[]): Promise<Ran> {
    const ran = await this.run(...args);
    if (ran.exitCode === 1) return ran;
    throw new Error(`${this.#kind.title}: ${args.join(' ')} ended with ${ran.exitCode}, not 1:\n${ran.output}`);
  }

  /** Writes a file into the home. */
  write(name: string, content: string | Buffer): string {
    const path = join(this.directory, name);
    writeFileSync(path, content);
    return path;
  }

  /** The packages in a folder of the home, byte for byte, by the names of their files. */
  packages(folder: string): Map<string, Buffer> {
    const found = new Map<string, Buffer>();
    for (const path of readdirSync(join(this.directory, folder), { recursive: true, encoding: 'utf8' })) {
      if (!path.endsWith('.nupkg')) continue;
      found.set(path.slice(path.lastIndexOf('/') + 1), readFileSync(join(this.directory, folder, path)));
    }
    return found;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What a command printed, without empty lines. */
export function linesOf({ output }: Ran): string[] {
  return output.split('\n').filter((line) => line !== '');
}

/** A `packages.config` with these versions. */
export function packagesConfig(versions: Readonly<Record<string, string>>): string {
  const lines = Object.entries(versions).map(([id, version]) => `  <package id="${id}" version="${version}" />`);
  return ['<?xml version="1.0" encoding="utf-8"?>', '<packages>', ...lines, '</packages>', ''].join('\n');
}

function configOf(sources: readonly Source[]): string {
  const add = (key: string, value: string) => `<add key="${escaped(key)}" value="${escaped(value)}" />`;
  const credentials = sources.map(({ name, credentials: known }) => {
    if (known === undefined) return '';
    return `<${name}>${add('Username', known.username)}${add('ClearTextPassword', known.password)}</${name}>`;
  });
  // Newer clients ask no source over plain http that isn't said to be meant so.
  const sourceOf = ({ name, url }: Source) => add(name, url).replace(' />', ' allowInsecureConnections="true" />');
  return `<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <packageSources><clear />${sources.map(sourceOf).join('')}</packageSources>
  <packageSourceCredentials>${credentials.join('')}</packageSourceCredentials>
</configuration>
`;
}

function missingAssemblies(mono: string): string | undefined {
  const folders = (process.env['MONO_PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  folders.push(join(dirname(dirname(mono)), 'lib/mono/4.5'));
  const missing = ASSEMBLIES.filter((name) => !folders.some((folder) => existsSync(join(folder, `${name}.dll`))));
  return missing.length > 0 ? `mono lacks ${missing.join(', ')}` : undefined;
}

function missingOfNuGet2(): string | undefined {
  if (MONO === undefined) return 'mono is not installed';
  if (find('nuget') === undefined) return 'nuget is not installed';
  if (find('script') === undefined || find('stty') === undefined) return 'script or stty is not installed';
  return existsSync('/dev/ptmx') && existsSync('/dev/pts') ? undefined : 'there are no pseudo-terminals';
}

function find(command: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, command)).find((path) => existsSync(path));
}

/** Ends a process with everything that it started. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

/** For a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function escaped(text: string): string {
  return text.replace(/[<>&"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function plain(output: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals are told things by them
  return output.replace(/\x1b(?:\[[0-9;?]*[A-Za-z]|[=>])/g, '').replaceAll('\r', '');
}

/**
 * Whether mono aborted while it ended its threads, as it does now and then: the client has said its last word
 * then, and whether that is true the tests see at the server.
 */
function hasDiedAtItsEnd({ exitCode, output }: Ran): boolean {
  return exitCode === 134 && output.includes('Assertion at mono-threads.c');
}
