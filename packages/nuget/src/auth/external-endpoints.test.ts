import { redactText } from '@granary/telemetry';
import { describe, expect, it } from 'vitest';
import { authorizationOf, type CredentialRequest } from './credentials.js';
import { externalEndpointProvider } from './external-endpoints.js';

const SOURCE = 'https://pkgs.example/org/_packaging/feed/nuget/v3/index.json';
const REQUEST: CredentialRequest = { source: 'feed', url: `${SOURCE}/x`, challenge: undefined, isRetry: false };

function ask(value: string, request = REQUEST, url = SOURCE) {
  return externalEndpointProvider(url, { VSS_NUGET_EXTERNAL_FEED_ENDPOINTS: value })?.(request);
}

const endpoints = (...entries: unknown[]) => JSON.stringify({ endpointCredentials: entries });

describe('VSS_NUGET_EXTERNAL_FEED_ENDPOINTS', () => {
  it('is no provider where it is not set', () => {
    expect(externalEndpointProvider(SOURCE, {})).toBeUndefined();
    expect(ask('  ')).toBeUndefined();
  });

  it('has credentials for the sources that it names', async () => {
    const text = endpoints(
      { endpoint: 'https://other.example/index.json', username: 'x', password: 'y' },
      { endpoint: SOURCE.toUpperCase().replace('HTTPS', 'https'), username: 'ann', password: 's3cret' },
    );
    expect(authorizationOf((await ask(text)) ?? { type: 'none' })).toBe(`Basic ${btoa('ann:s3cret')}`);
    expect(await ask(text, REQUEST, 'https://third.example/index.json')).toBeUndefined();
  });

  it.each([
    `${SOURCE}/`,
    ` ${SOURCE} `,
    SOURCE.replace('pkgs.example', 'PKGS.example:443'),
    SOURCE.replace('/org/', '/other/../org/'),
  ])('names the source by whatever is the same URL: %s', async (endpoint) => {
    expect(await ask(endpoints({ endpoint, password: 's3cret' }))).toMatchObject({ type: 'basic' });
  });

  it.each([{}, { username: '' }, { username: null }])('needs no username: %j', async (username) => {
    expect(await ask(endpoints({ endpoint: SOURCE, password: 's3cret', ...username }))).toMatchObject({
      type: 'basic',
      username: 'VssSessionToken',
    });
  });

  it('says nothing again that was refused', async () => {
    const text = endpoints({ endpoint: SOURCE, username: 'ann', password: 's3cret' });
    expect(await ask(text, { ...REQUEST, isRetry: true })).toBeUndefined();
  });

  it.each([
    's3cret',
    '[]',
    'null',
    '{"endpointCredentials":{}}',
    endpoints({ endpoint: SOURCE }),
    endpoints({ password: 's3cret' }),
    endpoints(null, 's3cret'),
  ])('that is something else (%s) is refused without being shown', async (text) => {
    const failure = String(await ask(text)?.catch((error: unknown) => error));
    expect(failure).toContain('VSS_NUGET_EXTERNAL_FEED_ENDPOINTS: allowed: JSON');
    expect(failure).not.toContain('s3cret');
    expect(redactText(failure)).toBe(failure);
  });
});
