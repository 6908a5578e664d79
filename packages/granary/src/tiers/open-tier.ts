import { readFile } from 'node:fs/promises';
import type { Tier } from '@granary/blobs';
import { ConfigError } from '../config/mistake.js';
import { type GrpcTierConfig, type RedisTierConfig, type TierConfig, tierName } from '../config/tier-schema.js';

/**
 * The client of one tier, which is loaded only here. Nothing is waited for: a tier that isn't there is connected to when
 * it is.
 *
 * @param place where the tier stands in the configuration, such as `tiers[0]`
 * @throws ConfigError when a file that it names can't be read, or its settings make no sense together
 */
export async function openTier(config: TierConfig, place: string): Promise<Tier> {
  try {
    return await open(config, place);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new ConfigError([{ origin: 'tiers', key: place, message }]);
  }
}

function open(config: TierConfig, place: string): Promise<Tier> {
  switch (config.type) {
    case 'grpc':
      return openGrpc(config, place);
    case 'redis':
      return openRedis(config, place);
  }
}

async function openGrpc(config: GrpcTierConfig, place: string): Promise<Tier> {
  const { GrpcTier } = await import('@granary/reapi');
  return new GrpcTier({
    ...commonOf(config),
    target: config.target,
    instanceName: config.instance_name,
    headers: config.headers,
    tokenFile: config.token_file,
    connections: config.connections,
    compression: config.compression,
    maxMessageBytes: config.max_message_size,
    tls: await tlsOf(config, place),
  });
}

async function openRedis(config: RedisTierConfig, place: string): Promise<Tier> {
  const { openRedisTier } = await import('@granary/blobs/redis');
  const [first = '', ...others] = config.urls;
  return openRedisTier({
    ...commonOf(config),
    connection: {
      urls: [first, ...others],
      topology: config.topology,
      group: config.group,
      username: config.username,
      passwordFile: config.password_file,
      tls: await tlsOf(config, place),
    },
    prefix: config.prefix,
    maxBlobBytes: config.max_blob_size,
    ttlMs: config.ttl || undefined,
    timeoutMs: config.attempt_timeout || undefined,
  });
}

function commonOf(config: TierConfig) {
  return { name: tierName(config), mode: config.mode, required: config.required };
}

/** The files of a tier's TLS settings; undefined when there are none. */
async function tlsOf({ ca_file, cert_file, key_file, server_name }: GrpcTierConfig | RedisTierConfig, place: string) {
  if (!(ca_file || cert_file || key_file || server_name)) return undefined;
  const read = async (key: string, file: string | undefined) => {
    if (file === undefined) return undefined;
    try {
      return await readFile(file);
    } catch (error) {
      const message = `can't be read: ${(error as Error).message}`;
      throw new ConfigError([{ origin: file, key: `${place}.${key}`, message }]);
    }
  };
  const [ca, cert, key] = await Promise.all([
    read('ca_file', ca_file),
    read('cert_file', cert_file),
    read('key_file', key_file),
  ]);
  return { ca, cert, key, serverName: server_name };
}
