import type { Tier } from '@granary/blobs';
import type { Logger } from '@granary/telemetry';
import { ConfigError } from '../config/mistake.js';
import {
  type GrpcTierConfig,
  type HttpTierConfig,
  type RedisTierConfig,
  type S3TierConfig,
  type TierConfig,
  tierName,
} from '../config/tier-schema.js';
import { readTierFile, readTierTls } from './tier-tls.js';
import { TokenFile } from './token-file.js';

/**
 * The client of one tier, which is loaded only here. Nothing is waited for: a tier that isn't there is connected to when
 * it is.
 *
 * @param place where the tier stands in the configuration, such as `tiers[0]`
 * @throws ConfigError when a file that it names can't be read, or its settings make no sense together
 */
export async function openTier(config: TierConfig, place: string, logger: Logger): Promise<Tier> {
  try {
    return await open(config, place, logger);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new ConfigError([{ origin: 'tiers', key: place, message }]);
  }
}

function open(config: TierConfig, place: string, logger: Logger): Promise<Tier> {
  switch (config.type) {
    case 'grpc':
      return openGrpc(config, place);
    case 'http':
      return openHttp(config, place);
    case 's3':
      return openS3(config, place, logger);
    case 'redis':
      return openRedis(config, place, logger);
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
    tls: await readTierTls(config, place),
  });
}

async function openHttp(config: HttpTierConfig, place: string): Promise<Tier> {
  const { HttpTier } = await import('@granary/blobs/http');
  const { token_file: tokenFile } = config;
  const tls = await readTierTls(config, place);
  return new HttpTier({
    ...commonOf(config),
    url: config.url,
    username: config.username,
    password: (await readTierFile(`${place}.password_file`, config.password_file))?.toString().trim(),
    token: tokenFile === undefined ? undefined : new TokenFile(tokenFile).read,
    headers: config.headers,
    tls: tls && { ca: tls.ca, cert: tls.cert, key: tls.key, servername: tls.serverName },
    compression: config.compression === 'auto',
    connections: config.connections,
    forbiddenIsMissing: config.forbidden_is_missing,
    connectTimeoutMs: config.attempt_timeout,
    idleTimeoutMs: config.idle_timeout,
  });
}

async function openS3(config: S3TierConfig, place: string, logger: Logger): Promise<Tier> {
  const { S3Tier } = await import('@granary/blobs/s3');
  const [accessKeyId, secretAccessKey] =
    (await readTierFile(`${place}.credentials_file`, config.credentials_file))?.toString().trim().split(/\s+/) ?? [];
  const tls = await readTierTls(config, place);
  const { encryption } = config;
  return new S3Tier({
    ...commonOf(config),
    bucket: config.bucket,
    prefix: config.prefix,
    region: config.region,
    endpoint: config.endpoint,
    pathStyle: config.path_style === 'auto' ? undefined : config.path_style === 'on',
    credentials: accessKeyId === undefined ? undefined : { accessKeyId, secretAccessKey: secretAccessKey ?? '' },
    encryption: encryption === 'none' ? undefined : encryption === 'kms' ? { kmsKeyId: config.kms_key_id } : encryption,
    tls: tls && { ca: tls.ca, cert: tls.cert, key: tls.key },
    partBytes: config.part_size,
    connections: config.connections,
    forbiddenIsMissing: config.forbidden_is_missing,
    connectTimeoutMs: config.attempt_timeout,
    idleTimeoutMs: config.idle_timeout,
    logger,
  });
}

async function openRedis(config: RedisTierConfig, place: string, logger: Logger): Promise<Tier> {
  const { openRedisTier } = await import('@granary/blobs/redis');
  const [first = '', ...others] = config.urls;
  const sentinelPassword = await readTierFile(`${place}.sentinel_password_file`, config.sentinel_password_file);
  return openRedisTier({
    ...commonOf(config),
    connection: {
      urls: [first, ...others],
      topology: config.topology,
      group: config.group,
      username: config.username,
      passwordFile: config.password_file,
      sentinelPassword: sentinelPassword?.toString().trim(),
      tls: await readTierTls(config, place),
    },
    prefix: config.prefix,
    maxBlobBytes: config.max_blob_size,
    ttlMs: config.ttl || undefined,
    timeoutMs: config.attempt_timeout || undefined,
    logger,
  });
}

function commonOf(config: TierConfig) {
  return { name: tierName(config), mode: config.mode, required: config.required };
}
