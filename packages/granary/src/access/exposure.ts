import { formatAddress, isLoopback } from '../config/address.js';
import { hasCredentials } from '../config/rules.js';
import type { Config } from '../config/schema.js';

/** What clients without credentials may do, `auto` resolved. */
export function anonymousLevel(config: Config): 'none' | 'read' | 'write' {
  const { anonymous } = config.auth;
  if (anonymous !== 'auto') return anonymous;
  if (hasCredentials(config)) return 'none';
  return exposedAddresses(config).length === 0 ? 'write' : 'read';
}

/** What whoever starts the server should know about who can reach it. */
export function exposureWarnings(config: Config): string[] {
  const exposed = exposedAddresses(config);
  if (exposed.length === 0) return [];
  const where = exposed.join(' and ');
  const warnings: string[] = [];
  const level = anonymousLevel(config);
  if (level === 'write')
    warnings.push(
      `Everybody who reaches ${where} can read and REPLACE what is cached, because auth.anonymous is write.`,
    );
  if (level === 'read') {
    const uploads = hasCredentials(config)
      ? 'Uploads need credentials.'
      : 'Uploads are refused: set auth.htpasswd_file, auth.tokens_file or tls.client_auth, or auth.anonymous to write.';
    warnings.push(`Everybody who reaches ${where} can read what is cached. ${uploads}`);
  }
  if (!config.tls.cert_file)
    warnings.push(
      `${where} ${exposed.length === 1 ? 'is' : 'are'} without TLS: content${hasCredentials(config) ? ', passwords and tokens pass' : ' passes'} the network readable. Set tls.cert_file and tls.key_file.`,
    );
  return warnings;
}

function exposedAddresses({ listen }: Config): string[] {
  return [listen.grpc, listen.http].flatMap((address) =>
    address && !isLoopback(address.host) ? [formatAddress(address)] : [],
  );
}
