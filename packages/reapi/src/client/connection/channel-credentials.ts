import { type ChannelCredentials, credentials } from '@grpc/grpc-js';

/** PEM text. */
type Pem = string | Uint8Array;

export interface GrpcTlsOptions {
  /** Certificates of the authorities that are trusted. Default: those that Node trusts. */
  readonly ca?: Pem | undefined;
  /** Our own certificate, for a peer that asks for one (mTLS); with `key`. */
  readonly cert?: Pem | undefined;
  /** Its private key. */
  readonly key?: Pem | undefined;
  /** Name that the peer's certificate must have, where it is another one than the target's host. */
  readonly serverName?: string | undefined;
}

/**
 * @throws RangeError that names the option which is wrong
 */
export function channelCredentials(tls: boolean, options: GrpcTlsOptions | undefined): ChannelCredentials {
  if (!tls) {
    if (options) throw new RangeError('tls is given, but the target is not encrypted: use grpcs://');
    return credentials.createInsecure();
  }
  const { ca, cert, key } = options ?? {};
  if ((cert === undefined) !== (key === undefined))
    throw new RangeError('tls.cert and tls.key belong together; one is missing');
  try {
    return credentials.createSsl(pem(ca), pem(key), pem(cert));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RangeError(`tls: the certificates or the key can't be used: ${why}`, { cause });
  }
}

function pem(text: Pem | undefined): Buffer | null {
  return text === undefined ? null : Buffer.from(text as Uint8Array);
}
