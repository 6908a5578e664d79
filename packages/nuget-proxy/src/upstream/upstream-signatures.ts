import { type Provider, type RepositoryCertificate, type RepositorySignatures, SHA256_OID } from '@granary/nuget';
import type { Timers } from '@granary/resilience';
import type { Answer, FeedCall, FeedSignatures, PackageSignatures, SigningCertificate } from '../feed/feed-content.js';
import { shapes } from './answers/answer-shapes.js';
import type { KeptAnswers } from './answers/kept-answers.js';
import type { ProviderCall, UpstreamCalls } from './upstream-calls.js';

export interface UpstreamSignaturesOptions {
  readonly answers: KeptAnswers;
  readonly calls: UpstreamCalls;
  readonly staleAfterMs: number;
  readonly timers: Timers;
}

const LIST = { key: 'signatures', shape: shapes.signatures } as const;
/** A certificate that is taken back is to be forgotten soon. */
const LIST_TTL_MS = 30 * 60_000;
/** What a fingerprint names never changes. */
const CERTIFICATE_TTL_MS = 24 * 60 * 60_000;

/** What a source says of the signatures of its packages, and the certificates that these are made with. */
export class UpstreamSignatures implements FeedSignatures {
  readonly #options: UpstreamSignaturesOptions;

  constructor(options: UpstreamSignaturesOptions) {
    this.#options = options;
  }

  async offered(call: FeedCall = {}): Promise<boolean> {
    const { timers, staleAfterMs } = this.#options;
    let timer: unknown;
    const late = new Promise<boolean>((resolve) => {
      timer = timers.setTimeout(() => resolve(false), staleAfterMs);
    });
    const asked = this.list(call).then(
      (answer) => answer !== undefined,
      () => false,
    );
    try {
      return await Promise.race([asked, late]);
    } finally {
      timers.clearTimeout(timer);
      call.signal?.throwIfAborted();
    }
  }

  list(call?: FeedCall): Promise<Answer<PackageSignatures> | undefined> {
    const { answers, calls } = this.#options;
    const ask = (asked: FeedCall) =>
      calls.run(asked, async (provider, options) => {
        const said = await provider.repositorySignatures?.(options);
        return said && signaturesOf(said);
      });
    return answers.ask({ ...LIST, ttlMs: LIST_TTL_MS, ask }, call);
  }

  async certificate(fingerprint: string, call?: FeedCall): Promise<Answer<Buffer> | undefined> {
    const listed = (await this.list(call))?.value.certificates;
    if (listed?.some((certificate) => certificate.fingerprints[SHA256_OID] === fingerprint) !== true) return undefined;
    const { answers, calls } = this.#options;
    const ask = (asked: FeedCall) =>
      calls.run(asked, async (provider, options) =>
        (await fetchBy(fingerprint, provider, options))?.toString('base64'),
      );
    const place = { key: `certificate/${fingerprint}`, shape: shapes.text };
    const answer = await answers.ask<string>({ ...place, ttlMs: CERTIFICATE_TTL_MS, ask }, call);
    return answer && { ...answer, value: Buffer.from(answer.value, 'base64') };
  }
}

async function fetchBy(fingerprint: string, provider: Provider, call: ProviderCall): Promise<Buffer | undefined> {
  const said = await provider.repositorySignatures?.(call);
  const certificate = said?.signingCertificates.find(
    ({ fingerprints }) => fingerprints.get(SHA256_OID) === fingerprint,
  );
  return certificate && (await provider.repositoryCertificate?.(certificate, call));
}

/** As plain data; undefined when it isn't whole, since clients refuse a source that says half of it. */
function signaturesOf({
  allRepositorySigned,
  signingCertificates,
}: RepositorySignatures): PackageSignatures | undefined {
  const certificates: SigningCertificate[] = [];
  for (const said of signingCertificates) {
    const certificate = certificateOf(said);
    if (certificate === undefined) return undefined;
    certificates.push(certificate);
  }
  return { allRepositorySigned, certificates };
}

function certificateOf(said: RepositoryCertificate): SigningCertificate | undefined {
  const { fingerprints, subject, issuer, notBefore, notAfter, contentUrl } = said;
  if (!/^[0-9a-f]{64}$/.test(fingerprints.get(SHA256_OID) ?? '') || contentUrl === undefined) return undefined;
  if (subject === undefined || issuer === undefined || notBefore === undefined || notAfter === undefined)
    return undefined;
  return {
    fingerprints: Object.fromEntries(fingerprints),
    subject,
    issuer,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
  };
}
