import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { NuGetError } from '../errors.js';
import { type ConfigFile, DEFAULT_CONFIG, parseConfigFile, readConfigFile } from './config-file.js';
import { nugetLocations, type PlatformOptions } from './locations.js';

/** Where `nuget.config` files are looked for. By default as NuGet does it for the working directory. */
export interface ConfigFilesOptions extends PlatformOptions {
  /** Where to begin to look for `nuget.config`. Default: the working directory. */
  readonly directory?: string | undefined;
  /** The only file to read. */
  readonly configFile?: string | undefined;
}

/** Spellings of the name where case matters; the first that is there is the one. */
const FILE_NAMES = ['nuget.config', 'NuGet.config', 'NuGet.Config'];
const USER_FILE_NAME = 'NuGet.Config';
const MAX_FILES_IN_FOLDER = 1000;

/**
 * All files that count, nearest first: those of the folder and of the folders above it, the user's own, the additional
 * ones in its folder `config`, those of the machine. A user without a file is taken to have the one that NuGet would write:
 * nuget.org is the only source.
 *
 * @throws {@link NuGetError} `INVALID_CONFIG`
 */
export async function readConfigFiles(options: ConfigFilesOptions = {}): Promise<readonly ConfigFile[]> {
  const { directory = process.cwd(), configFile } = options;
  if (configFile !== undefined) {
    const path = resolve(directory, configFile);
    const file = await readConfigFile(path, 'folder');
    if (file === undefined) throw new NuGetError('INVALID_CONFIG', `${path} is not there`);
    return [file];
  }
  const locations = nugetLocations(options);
  const files: ConfigFile[] = [];
  for (const folder of upwards(resolve(directory))) {
    const file = await readFirst(folder);
    if (file !== undefined) files.push(file);
  }
  if (locations.userConfig !== undefined) {
    files.push(await readUserConfig(locations.userConfig));
    files.push(...(await readFolder(join(locations.userConfig, 'config'), 'additional')));
  }
  if (locations.machineConfig !== undefined) files.push(...(await readFolder(locations.machineConfig, 'machine')));
  return files;
}

async function readUserConfig(folder: string): Promise<ConfigFile> {
  const path = join(folder, USER_FILE_NAME);
  return (await readConfigFile(path, 'user')) ?? parseConfigFile(path, 'user', Buffer.from(DEFAULT_CONFIG));
}

function* upwards(folder: string): Generator<string> {
  for (let current = folder; ; current = dirname(current)) {
    yield current;
    if (dirname(current) === current) return;
  }
}

async function readFirst(folder: string): Promise<ConfigFile | undefined> {
  for (const name of FILE_NAMES) {
    const file = await readConfigFile(join(folder, name), 'folder');
    if (file !== undefined) return file;
  }
  return undefined;
}

async function readFolder(folder: string, kind: 'additional' | 'machine'): Promise<readonly ConfigFile[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new NuGetError('INVALID_CONFIG', `${folder} can't be read: ${(error as Error).message}`, { cause: error });
  }
  const configs = names.filter((name) => /\.[cC]onfig$/.test(name) && name !== USER_FILE_NAME).sort();
  if (configs.length > MAX_FILES_IN_FOLDER)
    throw new NuGetError('LIMIT', `${folder} has more than ${MAX_FILES_IN_FOLDER} files`);
  const files: ConfigFile[] = [];
  for (const name of configs) {
    const file = await readConfigFile(join(folder, name), kind);
    if (file !== undefined) files.push(file);
  }
  return files;
}
