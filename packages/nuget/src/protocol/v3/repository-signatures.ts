import { createHash } from 'node:crypto';
import { httpUrl, shownUrl } from '../endpoint-url.js';
import type { CallOptions } from '../feed.js';
import { asBoolean, asDate, asObject, asText, type JsonObject, parseJsonObject } from '../json.js';
import type { V3Source } from './v3-source.js';

/** A certificate that a source signs packages with, as the source describes it: nothing of it is verified. */
export interface RepositoryCertificate {
  /** Fingerprints in lower-case hex by the OID of their hash: `2.16.840.1.101.3.4.2.1` is SHA-256. */
  readonly fingerprints: ReadonlyMap<string, string>;
  readonly subject?: string | undefined;
  readonly issuer?: string | undefined;
  readonly notBefore?: Date | undefined;
  readonly notAfter?: Date | undefined;
  /** Where the certificate is, in DER. */
  readonly contentUrl?: string | undefined;
}

/** What a source says of the signatures of its packages. */
export interface RepositorySignatures {
  /** Whether each package of the source is signed by it. */
  readonly allRepositorySigned: boolean;
  readonly signingCertificates: readonly RepositoryCertificate[];
}

/** The OID of SHA-256, by which fingerprints are named. */
export const SHA256_OID = '2.16.840.1.101.3.4.2.1';

const MAX_BYTES = 4 * 1024 * 1024;
/** Certificates have one or two thousand. */
const MAX_CERTIFICATE_BYTES = 64 * 1024;

/**
 * What the source says of the signatures of its packages; undefined when it says nothing.
 *
 * @throws SourceError `PROTOCOL` when a source that is asked over https wants to say it without, or says no such thing
 */
export async function readRepositorySignatures(
  source: V3Source,
  options: CallOptions = {},
): Promise<RepositorySignatures | undefined> {
  const endpoint = source.offered(await source.index(options), 'repositorySignatures')?.[0];
  if (endpoint === undefined) return undefined;
  const { feed } = source;
  if (feed.url.startsWith('https:') && !endpoint.startsWith('https:')) {
    throw source.error('PROTOCOL', `${shownUrl(endpoint)} must be https: it says which signatures to trust`);
  }
  return await feed.document(endpoint, {
    ...options,
    cacheKey: 'repository_signature',
    maxBytes: MAX_BYTES,
    parse: (body, url) => {
      const document = parseJsonObject(body, feed.name, url);
      const allRepositorySigned = asBoolean(document['allRepositorySigned']);
      const certificates = document['signingCertificates'];
      if (allRepositorySigned === undefined || !Array.isArray(certificates)) {
        throw source.error('PROTOCOL', `${shownUrl(url)} doesn't say which packages are signed, and with what`);
      }
      const signingCertificates = certificates
        .map((value) => readCertificate(asObject(value), url))
        .filter((certificate) => certificate !== undefined);
      return { allRepositorySigned, signingCertificates };
    },
  });
}

/**
 * The certificate itself, in DER; undefined when it isn't there.
 *
 * @throws SourceError `PROTOCOL` when it doesn't have the SHA-256 fingerprint that the source says, `LIMIT`
 */
export async function readRepositoryCertificate(
  source: V3Source,
  { contentUrl, fingerprints }: RepositoryCertificate,
  options: CallOptions = {},
): Promise<Buffer | undefined> {
  if (contentUrl === undefined) return undefined;
  return await source.feed.document(contentUrl, {
    ...options,
    cacheKey: undefined,
    accept: '*/*',
    maxBytes: MAX_CERTIFICATE_BYTES,
    parse: (body, url) => {
      const fingerprint = createHash('sha256').update(body).digest('hex');
      if (fingerprint === fingerprints.get(SHA256_OID)) return body;
      throw source.error('PROTOCOL', `${shownUrl(url)} is not the certificate with the fingerprint that it says`);
    },
  });
}

function readCertificate(certificate: JsonObject | undefined, url: string): RepositoryCertificate | undefined {
  const fingerprints = new Map<string, string>();
  for (const [oid, value] of Object.entries(asObject(certificate?.['fingerprints']) ?? {})) {
    const fingerprint = asText(value);
    if (fingerprint !== undefined) fingerprints.set(oid, fingerprint.toLowerCase());
  }
  if (certificate === undefined || fingerprints.size === 0) return undefined;
  return {
    fingerprints,
    subject: asText(certificate['subject']),
    issuer: asText(certificate['issuer']),
    notBefore: asDate(certificate['notBefore']),
    notAfter: asDate(certificate['notAfter']),
    contentUrl: httpUrl(certificate['contentUrl'], url),
  };
}
