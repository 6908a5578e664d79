import {
  isNuGetError,
  loadNuGetConfig,
  type PackageSource,
  type SourceCredentials,
  SourceEditor,
} from '@granary/nuget';
import { retry } from '@granary/resilience';
import { redactText } from '@granary/telemetry';
import type { ExitCode } from '../../io.js';
import { table } from '../../terminal/table.js';
import { type NuGetIo, UsageError } from '../run-command.js';

export interface SourcesOptions {
  readonly configFile?: string;
  readonly json?: boolean;
}

export interface SourceChangeOptions extends SourcesOptions {
  readonly url?: string;
  readonly protocolVersion?: string;
  readonly allowInsecureConnections?: boolean;
  readonly username?: string;
  readonly passwordEnv?: string;
  readonly passwordStdin?: boolean;
  readonly validAuthenticationTypes?: string;
}

/** Shows the sources in the order in which they are asked. */
export async function listSources(options: SourcesOptions, io: NuGetIo): Promise<ExitCode> {
  const config = await loadNuGetConfig({ ...options, environment: io.environment });
  // Who must know the password of a URL looks into the file.
  const sources = config.sources.map((source) => ({ ...source, url: redactText(source.url) }));
  if (options.json) io.out(`${JSON.stringify({ sources }, null, 2)}\n`);
  else if (sources.length === 0) io.out('There are no sources; granary nuget sources add NAME URL makes one.\n');
  else io.out(table(HEAD, sources.map(rowOf), io.outColumns, io.style));
  return 0;
}

const HEAD = [{ title: 'NAME' }, { title: 'STATE' }, { title: 'URL' }, { title: 'FROM', flexible: true }];

function rowOf({ name, isEnabled, url, file }: PackageSource): readonly string[] {
  return [name, isEnabled ? 'enabled' : 'disabled', url, file];
}

export async function addSource(
  name: string,
  url: string,
  options: SourceChangeOptions,
  io: NuGetIo,
): Promise<ExitCode> {
  const settings = await settingsOf(options, io);
  return change(options, io, (editor) => editor.add(name, { ...settings, url }), `Added ${name}`);
}

export async function updateSource(name: string, options: SourceChangeOptions, io: NuGetIo): Promise<ExitCode> {
  const settings = await settingsOf(options, io);
  if (Object.values({ ...settings, url: options.url }).every((value) => value === undefined))
    throw new UsageError('say what to change: --url, --protocol-version, --allow-insecure-connections or --username');
  return change(options, io, (editor) => editor.update(name, { ...settings, url: options.url }), `Changed ${name}`);
}

export function removeSource(name: string, options: SourcesOptions, io: NuGetIo): Promise<ExitCode> {
  return change(options, io, (editor) => editor.remove(name), `Removed ${name}`);
}

export function enableSource(name: string, options: SourcesOptions, io: NuGetIo): Promise<ExitCode> {
  return change(options, io, (editor) => editor.enable(name), `Enabled ${name}`);
}

export function disableSource(name: string, options: SourcesOptions, io: NuGetIo): Promise<ExitCode> {
  return change(options, io, (editor) => editor.disable(name), `Disabled ${name}`);
}

/** Each change is made in milliseconds: so many commands at once have their turns, and nobody waits for long. */
const TURNS = { maxRetries: 20, initialDelayMs: 20, maxDelayMs: 200, jitter: 1 } as const;

/** Makes a change, in turns with other commands that change the same files. */
async function change(
  options: SourcesOptions,
  io: NuGetIo,
  edit: (editor: SourceEditor) => void,
  done: string,
): Promise<ExitCode> {
  const { environment, signal } = io;
  const changed = async () => {
    const config = await loadNuGetConfig({ configFile: options.configFile, environment });
    const editor = new SourceEditor(config, environment);
    edit(editor);
    return editor.save();
  };
  const shouldRetry = (error: unknown) => isNuGetError(error) && error.code === 'CONFLICT';
  const files = await retry(changed, { ...TURNS, signal, shouldRetry });
  if (options.json) io.out(`${JSON.stringify({ files })}\n`);
  else io.out(files.length === 0 ? 'Nothing had to be changed.\n' : `${redactText(done)} in ${files.join(' and ')}.\n`);
  return 0;
}

async function settingsOf(options: SourceChangeOptions, io: NuGetIo) {
  const { protocolVersion, allowInsecureConnections } = options;
  if (protocolVersion !== undefined && protocolVersion !== '2' && protocolVersion !== '3')
    throw new UsageError(`--protocol-version: found "${protocolVersion}"; allowed: 2, 3`);
  return {
    protocolVersion: protocolVersion === undefined ? undefined : Number(protocolVersion),
    allowInsecureConnections,
    credentials: await credentialsOf(options, io),
  };
}

async function credentialsOf(options: SourceChangeOptions, io: NuGetIo): Promise<SourceCredentials | undefined> {
  const { username, passwordEnv, passwordStdin, validAuthenticationTypes } = options;
  if (username === undefined) {
    if (passwordEnv === undefined && !passwordStdin && validAuthenticationTypes === undefined) return undefined;
    throw new UsageError('credentials need --username, too');
  }
  if ((passwordEnv === undefined) === !passwordStdin)
    throw new UsageError('--username needs either --password-env or --password-stdin');
  if (passwordEnv !== undefined && !/^[^%=\s]+$/.test(passwordEnv))
    throw new UsageError('--password-env: allowed: the name of an environment variable');
  const password = passwordEnv === undefined ? await readPassword(io) : { variable: passwordEnv };
  return { username, password, validAuthenticationTypes };
}

async function readPassword(io: NuGetIo): Promise<string> {
  const password = ((await io.readInput?.()) ?? '').replace(/\r?\n$/, '');
  if (password === '') throw new UsageError('there is no password on standard input');
  return password;
}
