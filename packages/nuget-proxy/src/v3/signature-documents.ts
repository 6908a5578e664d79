import { SHA256_OID } from '@granary/nuget';
import type { FeedCall, FeedSignatures, PackageSignatures } from '../feed/feed-content.js';
import { IMMUTABLE, sendDocument } from '../http/answers/document-answer.js';
import type { Exchange } from '../http/exchange.js';
import type { FeedUrls } from '../http/feed-urls.js';
import { HttpError } from '../http/http-error.js';

const CERTIFICATE_TYPE = 'application/pkix-cert';
const CERTIFICATE_NAME = /^([0-9a-f]{64})\.crt$/i;

/**
 * What a feed says of the signatures of its packages: only where nobody can change it on its way, because clients take it
 * for what they may trust, and refuse a source that says it otherwise.
 */
export function signaturesIn(urls: FeedUrls, feed: { readonly signatures?: FeedSignatures | undefined }) {
  return urls.isSecure ? feed.signatures : undefined;
}

/** The documents about them, and the certificates. @param path what comes after `signatures/` */
export async function answerSignatures(
  exchange: Exchange,
  signatures: FeedSignatures | undefined,
  urls: FeedUrls,
  path: readonly string[],
): Promise<void> {
  exchange.service = 'signatures';
  if (signatures === undefined) throw nothing();
  const { call } = exchange;
  const name = path.join('/');
  switch (name) {
    case 'index.json':
      return await sendList(exchange, signatures, urls, call);
    case '5.0.0/index.json':
      return await sendList(exchange, signatures, urls, call, '5.0.0');
    default:
      return await sendCertificate(exchange, signatures, urls, path);
  }
}

async function sendList(
  exchange: Exchange,
  signatures: FeedSignatures,
  urls: FeedUrls,
  call: FeedCall,
  version?: '5.0.0',
): Promise<void> {
  const answer = await signatures.list(call);
  if (answer === undefined) throw new HttpError(404, 'the source says nothing of signatures');
  const render = (said: PackageSignatures) => listDocument(urls, said, version === '5.0.0');
  await sendDocument(exchange, { url: urls.signatures(version), answer, render });
}

async function sendCertificate(
  exchange: Exchange,
  signatures: FeedSignatures,
  urls: FeedUrls,
  [folder, file = '', ...more]: readonly string[],
): Promise<void> {
  const fingerprint = CERTIFICATE_NAME.exec(file)?.[1]?.toLowerCase();
  if (folder !== 'certificates' || fingerprint === undefined || more.length > 0) throw nothing();
  const answer = await signatures.certificate(fingerprint, exchange.call);
  if (answer === undefined) throw new HttpError(404, 'the source has no such certificate');
  const url = urls.certificate(fingerprint);
  const render = (der: Buffer) => der;
  await sendDocument(exchange, { url, answer, render, type: CERTIFICATE_TYPE, cacheControl: IMMUTABLE });
}

/** @param mayRequire whether who reads it understands that all packages must be signed: others install none then */
function listDocument(
  urls: FeedUrls,
  { allRepositorySigned, certificates }: PackageSignatures,
  mayRequire: boolean,
): object {
  return {
    allRepositorySigned: allRepositorySigned && mayRequire,
    signingCertificates: certificates.map(({ fingerprints, ...described }) => {
      return { fingerprints, ...described, contentUrl: urls.certificate(fingerprints[SHA256_OID] ?? '') };
    }),
  };
}

function nothing(): HttpError {
  return new HttpError(404, 'there is no such resource');
}
