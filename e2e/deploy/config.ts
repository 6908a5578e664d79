import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../packages/granary/src/cli/run.js';

const certificate = (name: string) =>
  fileURLToPath(new URL(`../../packages/granary/src/testing/certificates/${name}`, import.meta.url));

/**
 * What `granary config check` says of a configuration, with files of this machine in place of those that it names for TLS
 * and credentials. `tokens` is one with a token, in a folder that may be written to.
 */
export async function checkConfig(
  text: string,
  tokens: string,
): Promise<{ readonly exitCode: number; readonly said: string }> {
  const environment: Record<string, string> = {};
  if (text.includes('cert_file: /etc/granary/tls')) {
    environment['GRANARY_TLS_CERT_FILE'] = certificate('server.pem');
    environment['GRANARY_TLS_KEY_FILE'] = certificate('server.key');
  }
  if (text.includes('tokens_file')) environment['GRANARY_AUTH_TOKENS_FILE'] = tokens;
  const file = join(dirname(tokens), 'checked.yaml');
  writeFileSync(file, text.replaceAll(/\/etc\/granary\/secrets\/[\w./-]+/g, tokens));
  let said = '';
  const say = (more: string) => {
    said += more;
  };
  const exitCode = await run(['config', 'check', '--config', file], { out: say, err: say, environment });
  return { exitCode, said };
}
