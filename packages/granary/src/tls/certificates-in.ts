import { X509Certificate } from 'node:crypto';

/**
 * What is wrong with a file of certificates in PEM, if anything is. The TLS layer takes the certificates up to the first
 * that it can't read and says nothing of it and the rest, so a file that is cut off would trust fewer, or nobody.
 */
export function mistakeInCertificates(pem: string): string | undefined {
  const blocks = pem.split(/^(?=-----BEGIN )/m);
  const certificates = blocks.filter((block) => /^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(block));
  if (certificates.length === 0) return 'holds no certificate in PEM';
  for (const [i, certificate] of certificates.entries())
    try {
      new X509Certificate(certificate);
    } catch (error) {
      return `its certificate ${i + 1} can't be read: ${(error as Error).message}`;
    }
  return undefined;
}
