import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ConfigError, type ConfigMistake, unreadable } from '../config/mistake.js';
import type { NuGetSourceConfig } from '../config/nuget-schema.js';
import { mistakeInCertificates } from '../tls/certificates-in.js';

/** What the files say that the configuration of a source names. */
export interface SourceFiles {
  readonly password: string | undefined;
  readonly token: string | undefined;
  readonly apiKey: string | undefined;
  /** Undefined where there is nothing beside what the system has. */
  readonly tls: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> | undefined;
}

/**
 * Reads the files of all sources.
 *
 * @throws ConfigError with every mistake in them
 */
export async function readAllSourceFiles(sources: readonly NuGetSourceConfig[]): Promise<readonly SourceFiles[]> {
  const mistakes: ConfigMistake[] = [];
  const files = await Promise.all(sources.map((source, i) => readFiles(source, `nuget.sources[${i}]`, mistakes)));
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return files;
}

/** @throws ConfigError */
export async function readSourceFiles(source: NuGetSourceConfig): Promise<SourceFiles> {
  const mistakes: ConfigMistake[] = [];
  const files = await readFiles(source, `the source ${source.name}`, mistakes);
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return files;
}

async function readFiles(source: NuGetSourceConfig, place: string, mistakes: ConfigMistake[]): Promise<SourceFiles> {
  const read = async (key: string, file: string | undefined) => {
    if (file === undefined) return undefined;
    try {
      return await readFile(file, 'utf8');
    } catch (error) {
      mistakes.push(unreadable(file, `${place}.${key}`, error));
      return undefined;
    }
  };
  const secret = async (key: string, file: string | undefined) => {
    const text = (await read(key, file))?.trim();
    const mistake = text === undefined ? undefined : mistakeIn(key, text);
    if (mistake !== undefined) mistakes.push({ origin: file ?? place, key: `${place}.${key}`, message: mistake });
    return text;
  };
  const { auth, ca_file, cert_file, key_file } = source;
  const [password, token, apiKey, ca, cert, key] = await Promise.all([
    secret('auth.password_file', auth.password_file),
    secret('auth.token_file', auth.token_file),
    secret('auth.api_key_file', auth.api_key_file),
    read('ca_file', ca_file),
    read('cert_file', cert_file),
    read('key_file', key_file),
  ]);
  if (ca === undefined && cert === undefined) return { password, token, apiKey, tls: undefined };
  const mistakeInCa = ca === undefined ? undefined : mistakeInCertificates(ca);
  if (mistakeInCa !== undefined)
    mistakes.push({ origin: ca_file ?? place, key: `${place}.ca_file`, message: mistakeInCa });
  const tls = { ...(ca !== undefined && { ca }), ...(cert !== undefined && key !== undefined && { cert, key }) };
  try {
    createSecureContext(tls);
  } catch (error) {
    const message = `can't be used: ${(error as Error).message}`;
    mistakes.push({ origin: ca_file ?? cert_file ?? place, key: place, message });
  }
  return { password, token, apiKey, tls };
}

/** What goes into a header as it is has to fit there; found out here, since a request that can't be sent says nothing. */
function mistakeIn(key: string, text: string): string | undefined {
  if (text === '') return 'is empty';
  if (key === 'auth.token_file' && /[^\x21-\x7e]/.test(text))
    return 'holds no token: those have no spaces or line breaks';
  if (key === 'auth.api_key_file' && /[^\x20-\x7e]/.test(text)) return 'holds no key: those are one line of ASCII';
  return undefined;
}
