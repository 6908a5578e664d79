import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLogger } from '@granary/telemetry';
import { hashSync } from '@node-rs/bcrypt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkFiles } from '../cli/check-files.js';
import { configFrom } from '../config/load.js';
import { certificate, startTestServer, temporaryFolder } from '../testing/test-server.js';

const USERS = `reader:${hashSync('r', { cost: 4 })}\nwriter:${hashSync('w', { cost: 4 })}\n`;
const CERTIFICATES = {
  'tls.cert_file': certificate('server.pem'),
  'tls.key_file': certificate('server.key'),
  'tls.ca_file': certificate('ca.pem'),
};

describe('a name in auth.rights', () => {
  let folder: string;
  let files: Record<string, string>;

  beforeAll(async () => {
    folder = await temporaryFolder();
    files = { 'auth.htpasswd_file': join(folder, 'users'), 'auth.tokens_file': join(folder, 'tokens') };
    await writeFile(join(folder, 'users'), USERS);
    await writeFile(join(folder, 'tokens'), 'ci:ci-token-0123456789\n');
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('that is of no user and no token is a mistake', async () => {
    const values = { ...files, 'auth.rights': { raeder: 'read', ci: 'read', 'O=Example': 'read' } };
    const mistakes = ['raeder"; did you mean "reader"?', 'O=Example"'].map((name) => ({
      origin: 'auth.rights',
      key: 'auth.rights',
      message: `there is no user and no token named "${name}`,
    }));
    await expect(checkFiles(configFrom(values))).rejects.toMatchObject({ mistakes });
  });

  it('may be of a certificate where clients are asked for one', async () => {
    const values = { ...files, ...CERTIFICATES, 'auth.rights': { reader: 'read', 'CN=whoever': 'read' } };
    await checkFiles(configFrom({ ...values, 'tls.client_auth': 'verify_if_given' }));
    await expect(checkFiles(configFrom(values))).rejects.toThrow('named "CN=whoever"');
    const byName = { ...values, 'tls.client_auth': 'verify_if_given', 'auth.rights': { whoever: 'read' } };
    await expect(checkFiles(configFrom(byName))).rejects.toThrow('named "whoever"; did you mean "CN=whoever"?');
  });

  it('whose user is gone keeps nobody in and no server from starting, and the log names it', async () => {
    const lines: string[] = [];
    const logger = createLogger({ destination: { write: (line) => lines.push(line) }, format: 'json' });
    const warned = () => {
      return lines.splice(0).flatMap((line) => /^auth\.rights: .*/.exec(JSON.parse(line).msg)?.[0] ?? []);
    };
    const rights = { reader: 'read', gone: 'read' };
    await using running = await startTestServer({ ...files, 'auth.rights': rights }, { logger });
    const gone = 'auth.rights: there is no user and no token named "gone"';
    expect(warned()).toEqual([gone]);
    const status = async () => {
      const headers = { Authorization: `Basic ${Buffer.from('reader:r').toString('base64')}` };
      return (await fetch(`http://${running.address('listen.http')}/ac/${'0'.repeat(64)}`, { headers })).status;
    };
    expect(await status()).toBe(404);
    await writeFile(join(folder, 'users'), USERS.replace(/^reader.*\n/, ''));
    await running.server.reload();
    expect(await status()).toBe(401);
    expect(warned()).toEqual([expect.stringContaining('named "reader"'), gone]);
  });
});
