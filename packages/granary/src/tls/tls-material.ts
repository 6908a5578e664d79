import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ConfigError, type ConfigMistake, unreadable } from '../config/mistake.js';
import type { Config } from '../config/schema.js';
import { mistakeInCertificates } from './certificates-in.js';

/** Certificates and key as a TLS server takes them. */
export type TlsMaterial = Readonly<Required<Pick<SecureContextOptions, 'cert' | 'key' | 'ca' | 'minVersion'>>>;

/**
 * Reads the files that `tls.*` names; undefined when TLS is off.
 *
 * @throws ConfigError when one can't be read, is no PEM, or the key belongs to another certificate
 */
export async function loadTls(tls: Config['tls']): Promise<TlsMaterial | undefined> {
  if (tls.cert_file === undefined || tls.key_file === undefined) return undefined;
  const mistakes: ConfigMistake[] = [];
  const read = async (key: string, file: string) => {
    try {
      return await readFile(file);
    } catch (error) {
      mistakes.push(unreadable(file, key, error));
      return Buffer.alloc(0);
    }
  };
  const cert = await read('tls.cert_file', tls.cert_file);
  const key = await read('tls.key_file', tls.key_file);
  // Without a file of its own no authority is trusted to vouch for a client, least of all the public ones.
  const ca = tls.ca_file === undefined ? [] : [await read('tls.ca_file', tls.ca_file)];
  const check = (keyPath: string, file: string, options: SecureContextOptions) => {
    if (mistakes.length > 0) return;
    try {
      createSecureContext(options);
    } catch (error) {
      mistakes.push({ origin: file, key: keyPath, message: `can't be used: ${(error as Error).message}` });
    }
  };
  check('tls.cert_file', tls.cert_file, { cert });
  check('tls.key_file', tls.key_file, { cert, key });
  if (tls.ca_file !== undefined && !mistakes.some(({ key }) => key === 'tls.ca_file')) {
    const message = mistakeInCertificates(String(ca[0]));
    if (message !== undefined) mistakes.push({ origin: tls.ca_file, key: 'tls.ca_file', message });
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return { cert, key, ca, minVersion: 'TLSv1.2' };
}
