import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { ConfigError, unreadable } from '../config/mistake.js';
import type { TierConfig } from '../config/tier-schema.js';
import { mistakeInCertificates } from '../tls/certificates-in.js';

export interface TierTls {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
  readonly serverName: string | undefined;
}

/**
 * The TLS settings of a tier, with what their files hold; undefined when there are none. Some clients look at them only
 * when they connect, so what can't be used would show as a tier that never answers.
 *
 * @param place where the tier stands in the configuration, such as `tiers[0]`
 * @throws ConfigError
 */
export async function readTierTls(config: TierConfig, place: string): Promise<TierTls | undefined> {
  const { ca_file: caFile, cert_file: certFile, key_file: keyFile, server_name: serverName } = config;
  if (!(caFile || certFile || keyFile || serverName)) return undefined;
  const [ca, cert, key] = await Promise.all([
    readTierFile(`${place}.ca_file`, caFile),
    readTierFile(`${place}.cert_file`, certFile),
    readTierFile(`${place}.key_file`, keyFile),
  ]);
  const message = ca && mistakeInCertificates(ca.toString());
  if (caFile !== undefined && message !== undefined)
    throw new ConfigError([{ origin: caFile, key: `${place}.ca_file`, message }]);
  try {
    createSecureContext({ ca, cert, key });
  } catch (error) {
    const message = `can't be used: ${(error as Error).message}`;
    throw new ConfigError([{ origin: certFile ?? caFile ?? 'tiers', key: place, message }]);
  }
  return { ca, cert, key, serverName };
}

/** @throws ConfigError when it can't be read */
export async function readTierFile(key: string, file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file);
  } catch (error) {
    throw new ConfigError([unreadable(file, key, error)]);
  }
}
