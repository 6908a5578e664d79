import { randomBytes } from 'node:crypto';
import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { makeFolder } from '@granary/cache/folders';
import { NuGetError } from '../errors.js';
import { appendToSection, type NewElement, removeFromSection, setAttribute } from './config-edits.js';
import { attribute, type ConfigFile, encodeConfig } from './config-file.js';
import { type Environment, expandEnvironment } from './expand-environment.js';
import type { NuGetConfig } from './nuget-config.js';
import type { PackageSource } from './package-sources.js';
import { sectionOf } from './settings.js';
import type { XmlElement } from './xml-element.js';
import { decodeXmlName, encodeXmlName } from './xml-name.js';

/** Credentials as they are written to `nuget.config`. */
export interface SourceCredentials {
  readonly username: string;
  /** The password in clear text, or the environment variable that has it: then no secret is in the file. */
  readonly password: string | { readonly variable: string };
  /** `basic`, … Default: all. */
  readonly validAuthenticationTypes?: string | undefined;
}

/** What `nuget.config` says of a source. What is undefined stays as it is. */
export interface SourceSettings {
  /** URL, or a folder: a relative one is taken from the working directory. */
  readonly url?: string | undefined;
  readonly protocolVersion?: number | undefined;
  readonly allowInsecureConnections?: boolean | undefined;
  readonly credentials?: SourceCredentials | undefined;
}

const SOURCES = 'packageSources';
const DISABLED = 'disabledPackageSources';
const CREDENTIALS = 'packageSourceCredentials';

/**
 * Changes the sources in `nuget.config` files. A new setting goes to the nearest file that clears its section, else to the
 * user's own; what is there is changed where it stands. Files of the machine, and additional ones of the user, are never
 * written. Nothing is written before {@link save}.
 */
export class SourceEditor {
  readonly #config: NuGetConfig;
  readonly #environment: Environment;
  #files: readonly ConfigFile[];

  constructor(config: NuGetConfig, environment: Environment = process.env) {
    this.#config = config;
    this.#environment = environment;
    this.#files = config.files;
  }

  /** @throws {@link NuGetError} `INVALID_OPTION` when there is a source with this name or URL */
  add(name: string, settings: SourceSettings & { readonly url: string }): void {
    const url = checkedUrl(settings.url);
    if (name.trim() === '') throw new NuGetError('INVALID_OPTION', 'a source needs a name');
    const other = this.#config.source(name) ?? this.#config.source(url);
    if (other !== undefined) {
      throw new NuGetError(
        'INVALID_OPTION',
        `the source ${other.name} (${other.url}) is there already, in ${other.file}`,
      );
    }
    const attributes: [string, string][] = [
      ['key', name],
      ['value', url],
    ];
    if (settings.protocolVersion !== undefined) attributes.push(['protocolVersion', String(settings.protocolVersion)]);
    if (settings.allowInsecureConnections) attributes.push(['allowInsecureConnections', 'true']);
    this.#append(SOURCES, { name: 'add', attributes });
    if (settings.credentials) this.#setCredentials(name, settings.credentials);
  }

  /** @throws {@link NuGetError} `INVALID_OPTION` when there is no such source, or none that may be changed */
  update(nameOrUrl: string, settings: SourceSettings): void {
    const { name } = this.#known(nameOrUrl);
    const changes: [string, string][] = [];
    if (settings.url !== undefined) changes.push(['value', checkedUrl(settings.url)]);
    if (settings.protocolVersion !== undefined) changes.push(['protocolVersion', String(settings.protocolVersion)]);
    if (settings.allowInsecureConnections !== undefined)
      changes.push(['allowInsecureConnections', String(settings.allowInsecureConnections)]);
    const found = this.#writable.find((file) => entryOf(file, SOURCES, name) !== undefined);
    if (changes.length > 0 && found === undefined) throw this.#readOnly(name);
    for (const [key, value] of changes) {
      this.#change(found?.path, (file) => {
        const entry = entryOf(file, SOURCES, name);
        return entry === undefined ? file : setAttribute(file, entry, key, value);
      });
    }
    if (settings.credentials) this.#setCredentials(name, settings.credentials);
  }

  /**
   * Takes a source out of all files that may be written, with its credentials.
   *
   * @throws {@link NuGetError} `INVALID_OPTION` when there is no such source, or none that may be changed
   */
  remove(nameOrUrl: string): void {
    const { name } = this.#known(nameOrUrl);
    if (!this.#removeAll(SOURCES, name)) throw this.#readOnly(name);
    this.#removeAll(DISABLED, name);
    this.#removeAll(CREDENTIALS, name);
  }

  /** @throws {@link NuGetError} `INVALID_OPTION` when there is no such source, or a file that can't be changed disables it */
  enable(nameOrUrl: string): void {
    const source = this.#known(nameOrUrl);
    if (!source.isEnabled && !this.#removeAll(DISABLED, source.name)) throw this.#readOnly(source.name);
  }

  /** @throws {@link NuGetError} `INVALID_OPTION` when there is no such source */
  disable(nameOrUrl: string): void {
    const { name, isEnabled } = this.#known(nameOrUrl);
    if (!isEnabled) return;
    this.#append(DISABLED, {
      name: 'add',
      attributes: [
        ['key', name],
        ['value', 'true'],
      ],
    });
  }

  /**
   * Writes the files that have changed, each as a whole or not at all, and answers with their paths. `{path}.lock` keeps
   * others out meanwhile.
   *
   * @throws {@link NuGetError} `INVALID_CONFIG` for a file that can't be written, `CONFLICT` for one that somebody else has
   * changed meanwhile, or is changing: who reads it again may make the same change
   */
  async save(): Promise<readonly string[]> {
    const changed = this.#files.filter((file, i) => file !== this.#config.files[i]);
    for (const file of changed) {
      const before = this.#config.files.find(({ path }) => path === file.path);
      await write(file, before?.bytes);
    }
    return changed.map(({ path }) => path);
  }

  get #writable(): readonly ConfigFile[] {
    return this.#files.filter(({ kind }) => kind === 'folder' || kind === 'user');
  }

  #known(nameOrUrl: string): PackageSource {
    const source = this.#config.source(nameOrUrl);
    if (source !== undefined) return source;
    const names = this.#config.sources.map(({ name }) => name).join(', ') || 'none';
    throw new NuGetError('INVALID_OPTION', `there is no source ${nameOrUrl}; there is: ${names}`);
  }

  #append(section: string, element: NewElement): void {
    const writable = this.#writable;
    const clears = writable.find((file) =>
      sectionOf(file, section)?.children.some(({ name }) => name.toLowerCase() === 'clear'),
    );
    const target = clears ?? writable.at(-1);
    if (target === undefined) throw new NuGetError('INVALID_CONFIG', 'there is no nuget.config that may be written');
    this.#change(target.path, (file) => appendToSection(file, section, element));
  }

  #setCredentials(name: string, { username, password, validAuthenticationTypes }: SourceCredentials): void {
    const entry = (key: string, value: string): NewElement => ({
      name: 'add',
      attributes: [
        ['key', key],
        ['value', value],
      ],
    });
    const children = [entry('Username', username), entry('ClearTextPassword', this.#written(password))];
    if (validAuthenticationTypes) children.push(entry('ValidAuthenticationTypes', validAuthenticationTypes));
    const element: NewElement = { name: encodeXmlName(name), attributes: [], children };
    const found = this.#writable.find((file) => entryOf(file, CREDENTIALS, name) !== undefined);
    if (found === undefined) {
      this.#append(CREDENTIALS, element);
      return;
    }
    this.#change(found.path, (file) => {
      const old = entryOf(file, CREDENTIALS, name);
      return appendToSection(old ? removeFromSection(file, CREDENTIALS, old) : file, CREDENTIALS, element);
    });
  }

  #written(password: SourceCredentials['password']): string {
    if (typeof password === 'object') return `%${password.variable}%`;
    if (expandEnvironment(password, this.#environment) === password) return password;
    throw new NuGetError(
      'INVALID_OPTION',
      'the password has the name of an environment variable between two %, and would be read as something else; put it ' +
        'into an environment variable and name that one',
    );
  }

  #removeAll(section: string, name: string): boolean {
    let removed = false;
    for (const { path } of this.#writable) {
      this.#change(path, (file) => {
        let changed = file;
        for (let entry = entryOf(changed, section, name); entry; entry = entryOf(changed, section, name)) {
          changed = removeFromSection(changed, section, entry);
          removed = true;
        }
        return changed;
      });
    }
    return removed;
  }

  #change(path: string | undefined, edit: (file: ConfigFile) => ConfigFile): void {
    this.#files = this.#files.map((file) => (file.path === path ? edit(file) : file));
  }

  #readOnly(name: string): NuGetError {
    const source = this.#config.source(name);
    return new NuGetError(
      'INVALID_OPTION',
      `the source ${name} stands in ${source?.file}, which is not changed from here`,
    );
  }
}

/** The entry of a source in a section of one file, whatever the case of its name. */
function entryOf(file: ConfigFile, section: string, name: string): XmlElement | undefined {
  const wanted = name.toLowerCase();
  return sectionOf(file, section)?.children.find((element) =>
    section === CREDENTIALS
      ? decodeXmlName(element.name).toLowerCase() === wanted
      : element.name.toLowerCase() === 'add' && attribute(element, 'key')?.toLowerCase() === wanted,
  );
}

function checkedUrl(text: string): string {
  const url = text.trim();
  // Without its colon it would be a folder, whose name has all that was typed in it.
  if (/^https?(?::|;?\/\/)/i.test(url)) {
    const { username, password } = URL.canParse(url) ? new URL(url) : {};
    if (username === undefined) throw new NuGetError('INVALID_OPTION', `${url} is no URL`);
    if (username !== '' || password !== '')
      throw new NuGetError('INVALID_OPTION', 'a source has no user and password in its URL; give them by themselves');
    return url;
  }
  if (url === '') throw new NuGetError('INVALID_OPTION', 'a source needs a URL');
  return /^[a-z][a-z0-9+.-]*:/i.test(url) || url.startsWith('\\\\') || isAbsolute(url) ? url : resolve(url);
}

async function write(file: ConfigFile, before: Buffer | undefined): Promise<void> {
  try {
    const path = await realpath(file.path).catch(() => file.path);
    await makeFolder(dirname(path));
    // Whoever has made it is the only one to look at the file and to replace it, which it becomes.
    const lock = `${path}.lock`;
    await removeAbandoned(lock);
    await using handle = await open(lock, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      const message = `${path} is being changed by somebody else; try again, or remove ${lock} where nobody does that`;
      throw new NuGetError('CONFLICT', message, { cause: error });
    });
    try {
      const current = await readFile(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      if (current !== undefined && before !== undefined && !current.equals(before))
        throw new NuGetError('CONFLICT', `${path} has been changed meanwhile; try again`);
      await handle.writeFile(encodeConfig(file.text, file.encoding));
      // A new one may come to hold passwords.
      if (current !== undefined) await handle.chmod((await stat(path)).mode & 0o777);
      await handle.sync();
      await rename(lock, path);
    } catch (error) {
      await rm(lock, { force: true });
      throw error;
    }
  } catch (error) {
    if (error instanceof NuGetError) throw error;
    throw new NuGetError('INVALID_CONFIG', `${file.path} can't be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** A file is written in milliseconds: whoever has begun that long ago isn't going to end. */
const ABANDONED_MS = 60_000;

/** Removes the lock of a process that has ended in the middle of its work. */
async function removeAbandoned(lock: string): Promise<void> {
  const found = await stat(lock).catch(() => undefined);
  if (found === undefined || found.mtimeMs + ABANDONED_MS > Date.now()) return;
  // Others do the same: what is moved away may be the lock of one that was faster, which it gets back.
  const aside = `${lock}.${randomBytes(8).toString('hex')}`;
  try {
    await rename(lock, aside);
    const moved = await stat(aside);
    if (moved.ino === found.ino && moved.mtimeMs === found.mtimeMs) await rm(aside);
    else await rename(aside, lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
