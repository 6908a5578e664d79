import { basicCredentials, type Credentials } from '../auth/credentials.js';
import { NuGetError } from '../errors.js';
import { attribute, type ConfigFile, configError } from './config-file.js';
import { type Environment, expandEnvironment } from './expand-environment.js';
import { mergedSection } from './settings.js';
import type { XmlElement } from './xml-element.js';

/** Credentials that are configured for a source; the password is read when it is needed. */
export class ConfiguredCredentials {
  readonly username: string;
  /** In lower case; empty allows all. */
  readonly validAuthenticationTypes: readonly string[];
  /** Where they stand: `FILE:LINE`, or the name of the environment variable. */
  readonly origin: string;
  readonly #source: string;
  /** Undefined where it is encrypted. */
  readonly #password: string | undefined;

  constructor(options: {
    readonly source: string;
    readonly origin: string;
    readonly username: string;
    readonly password: string | undefined;
    readonly validAuthenticationTypes: string | undefined;
  }) {
    this.#source = options.source;
    this.#password = options.password;
    this.origin = options.origin;
    this.username = options.username;
    this.validAuthenticationTypes = (options.validAuthenticationTypes ?? '')
      .split(',')
      .map((type) => type.trim().toLowerCase())
      .filter((type) => type !== '');
  }

  /** @throws {@link NuGetError} `INVALID_CONFIG` when the password is encrypted, or is for no scheme that there is here */
  toCredentials(): Credentials {
    const types = this.validAuthenticationTypes;
    if (types.length > 0 && !types.includes('basic'))
      throw this.#error(`they are for ${types.join(', ')} only, and all that there is here is basic`);
    if (this.#password === undefined) {
      throw this.#error(
        'the password is encrypted for a user of Windows, and nobody else can read it; use ClearTextPassword with ' +
          `%VARIABLE% as its value, or the environment variable ${environmentName(this.#source)}`,
      );
    }
    return basicCredentials(this.username, this.#password);
  }

  #error(message: string): NuGetError {
    return new NuGetError('INVALID_CONFIG', `${this.origin}: credentials of ${this.#source}: ${message}`);
  }
}

const ENVIRONMENT_FORM =
  /^Username=(?<user>.*?);\s*Password=(?<password>.*?)(?:;ValidAuthenticationTypes=(?<types>.*?))?$/is;

/**
 * Credentials of a source: those of the environment first, else those of the files.
 *
 * @throws {@link NuGetError} `INVALID_CONFIG` for credentials in a file that lack a part
 */
export function readSourceCredentials(
  files: readonly ConfigFile[],
  source: string,
  environment: Environment,
): ConfiguredCredentials | undefined {
  return fromEnvironment(source, environment) ?? fromFiles(files, source, environment);
}

function environmentName(source: string): string {
  return `NuGetPackageSourceCredentials_${source}`;
}

function fromEnvironment(source: string, environment: Environment): ConfiguredCredentials | undefined {
  const origin = environmentName(source);
  const { groups } = ENVIRONMENT_FORM.exec(environment[origin]?.trim() ?? '') ?? {};
  if (groups === undefined) return undefined;
  const { user = '', password = '', types } = groups;
  return new ConfiguredCredentials({ source, origin, username: user, password, validAuthenticationTypes: types });
}

function fromFiles(
  files: readonly ConfigFile[],
  source: string,
  environment: Environment,
): ConfiguredCredentials | undefined {
  const setting = mergedSection(files, 'packageSourceCredentials').find(({ identity }) => identity === source);
  if (setting === undefined) return undefined;
  const { element, file } = setting;
  const read = (key: string) => {
    const found = element.children.filter((child) => isAdd(child, key));
    const [, second] = found;
    if (second) throw configError(file.path, second.line, `the source ${source} has ${key} twice`);
    const value = found[0] && attribute(found[0], 'value');
    return value === undefined ? undefined : expandEnvironment(value, environment);
  };
  const username = read('Username');
  const clear = read('ClearTextPassword');
  const encrypted = read('Password');
  if (clear !== undefined && encrypted !== undefined)
    throw configError(file.path, element.line, `the source ${source} has both Password and ClearTextPassword`);
  if (username === undefined || (clear === undefined && encrypted === undefined)) {
    throw configError(
      file.path,
      element.line,
      `credentials of the source ${source} need Username, and Password or ClearTextPassword`,
    );
  }
  return new ConfiguredCredentials({
    source,
    origin: `${file.path}:${element.line}`,
    username,
    password: clear,
    validAuthenticationTypes: read('ValidAuthenticationTypes'),
  });
}

function isAdd(element: XmlElement, key: string): boolean {
  return element.name.toLowerCase() === 'add' && attribute(element, 'key')?.toLowerCase() === key.toLowerCase();
}
