import { describe, expect, it } from 'vitest';
import { configFrom } from '../config/load.js';
import { ConfigError } from '../config/mistake.js';
import { certificate } from '../testing/test-server.js';
import { loadTls } from './tls-material.js';

const RIGHT = {
  'tls.cert_file': certificate('server.pem'),
  'tls.key_file': certificate('server.key'),
  'tls.ca_file': certificate('ca.pem'),
};

/** What is wrong with the files, by the key that names the file. */
async function mistakesIn(files: Partial<typeof RIGHT>): Promise<string[]> {
  const error = await loadTls(configFrom({ ...RIGHT, ...files }).tls).catch((refusal: unknown) => refusal);
  if (!(error instanceof ConfigError)) throw new Error('nothing is wrong with them', { cause: error });
  return error.mistakes.map(({ origin, key, message }) => `${key} ${origin.split('/').at(-1)} ${message}`);
}

describe('the files of TLS', () => {
  it.each(['tls.cert_file', 'tls.key_file', 'tls.ca_file'])(
    'say of the one that %s names that it is missing',
    async (key) => {
      expect(await mistakesIn({ [key]: '/nowhere/file.pem' })).toEqual([
        expect.stringMatching(new RegExp(`^${key} file\\.pem .*(?:read|exist)`)),
      ]);
    },
  );

  it('that are missing are all named, each once', async () => {
    const missing = Object.fromEntries(Object.keys(RIGHT).map((key) => [key, `/nowhere/${key}`]));
    const mistakes = await mistakesIn(missing);
    expect(mistakes.map((mistake) => mistake.split(' ')[0])).toEqual(Object.keys(RIGHT));
  });

  it('say of authorities that are none that they are, beside what else is wrong', async () => {
    const found = await mistakesIn({ 'tls.key_file': '/nowhere/key', 'tls.ca_file': certificate('server.key') });
    expect(found).toEqual([
      expect.stringMatching(/^tls\.key_file key /),
      'tls.ca_file server.key holds no certificate in PEM',
    ]);
  });

  it('trust no authority where none is named', async () => {
    const { cert_file, key_file } = configFrom(RIGHT).tls;
    expect((await loadTls({ ...configFrom({}).tls, cert_file, key_file }))?.ca).toEqual([]);
  });
});
