import { inspect } from 'node:util';
import { coarseTimers } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { redactText } from '@granary/telemetry';
import { describe, expect, it } from 'vitest';
import { isNuGetError, NuGetError } from '../errors.js';
import { Authenticator, type AuthHeaders } from './authenticator.js';
import {
  authorizationOf,
  basicCredentials,
  bearerCredentials,
  type CredentialProvider,
  type CredentialRequest,
  type Credentials,
} from './credentials.js';

const URL_OF_SOURCE = 'https://feed.example/v3/index.json';
const ANN = basicCredentials('ann', 's3cret');
const BASIC_ANN = `Basic ${Buffer.from('ann:s3cret').toString('base64')}`;

function authenticator(options: Partial<ConstructorParameters<typeof Authenticator>[0]> = {}) {
  return new Authenticator({ source: 'feed', url: URL_OF_SOURCE, ...options });
}

/** Answers with each of the credentials in turn, and keeps what it was asked. */
function providerOf(...answers: (Credentials | undefined)[]) {
  const requests: CredentialRequest[] = [];
  const provider: CredentialProvider = async (request) => {
    requests.push(request);
    return answers[requests.length - 1];
  };
  return { provider, requests };
}

const refused = (sent?: AuthHeaders, url = URL_OF_SOURCE) => ({ url, sent, challenge: 'Basic realm="x"' });

describe('credentials', () => {
  it('become the header that their scheme has', () => {
    expect(authorizationOf(ANN)).toBe(BASIC_ANN);
    expect(authorizationOf(bearerCredentials('abc.def'))).toBe('Bearer abc.def');
    expect(authorizationOf({ type: 'none' })).toBeUndefined();
    expect(authorizationOf(basicCredentials('zoë', 'ß'))).toBe(`Basic ${Buffer.from('zoë:ß').toString('base64')}`);
  });

  it('that no header can hold are refused without being shown', () => {
    for (const credentials of [basicCredentials('a:b', 's3cret'), bearerCredentials('s3cret\r\nx: y')]) {
      let message = '';
      try {
        authorizationOf(credentials);
      } catch (error) {
        message = String(error);
      }
      expect(message).toMatch(/colon|visible ASCII/);
      expect(message).not.toContain('s3cret');
      expect(redactText(message)).toBe(message);
    }
  });

  it('of no type that there is are refused without being shown', () => {
    for (const given of [
      { username: 'u', password: 'secret' },
      { type: 'Basic', username: 'u', password: 'secret' },
    ])
      expect(() => authorizationOf(given as Credentials)).toThrow(
        expect.objectContaining({
          code: 'INVALID_OPTION',
          message: 'credentials have the type basic, bearer or none',
        }),
      );
  });

  it('show their secret to nobody who prints them', () => {
    for (const credentials of [ANN, bearerCredentials('s3cret')]) {
      const shown = [
        inspect(credentials, { depth: 9, showHidden: true }),
        JSON.stringify(credentials),
        `${credentials}`,
      ];
      for (const text of shown) expect(text).not.toContain('s3cret');
    }
    expect(inspect(authenticator({ credentials: ANN }), { depth: 9, showHidden: true })).not.toContain('s3cret');
    expect(JSON.stringify(authenticator({ url: 'https://ann:s3cret@feed.example/' }))).not.toContain('s3cret');
  });
});

describe('an authenticator', () => {
  it('sends configured credentials from the first request on, to its own origin only', () => {
    const auth = authenticator({ credentials: ANN });
    expect(auth.headers('https://feed.example/flat/x')).toEqual({ authorization: BASIC_ANN });
    for (const url of [
      'http://feed.example/flat/x',
      'https://feed.example:8443/x',
      'https://other.example/x',
      'https://feed.example.evil.example/x',
      'https://evil.example/https://feed.example/',
      'not a URL',
    ]) {
      expect(auth.headers(url), url).toBeUndefined();
    }
  });

  it('goes from http to https of one host, and to origins that are named', () => {
    const auth = authenticator({ url: 'http://feed.example/', credentials: ANN, alsoFor: ['https://cdn.example/'] });
    expect(auth.headers('http://feed.example/x')).toBeDefined();
    expect(auth.headers('https://feed.example/x')).toBeDefined();
    expect(auth.headers('https://cdn.example/x')).toBeDefined();
    expect(auth.headers('http://cdn.example/x')).toBeUndefined();
    const other = authenticator({ url: 'http://feed.example:8080/', credentials: ANN });
    expect(other.headers('https://feed.example/x')).toBeUndefined();
  });

  it('takes credentials out of the URL', () => {
    const auth = authenticator({ url: 'https://ann:s3cret@feed.example/v3/index.json' });
    expect(auth.url).toBe(URL_OF_SOURCE);
    expect(auth.headers(URL_OF_SOURCE)).toEqual({ authorization: BASIC_ANN });
    const token = authenticator({ url: 'https://s3cret@feed.example/v3/index.json' });
    expect(token.url).toBe(URL_OF_SOURCE);
    expect(token.headers(URL_OF_SOURCE)).toEqual({ authorization: authorizationOf(basicCredentials('s3cret', '')) });
    const escaped = authenticator({ url: 'https://a%40b:%zz@feed.example/' });
    expect(escaped.headers(URL_OF_SOURCE)).toEqual({ authorization: authorizationOf(basicCredentials('a@b', '%zz')) });
  });

  it('refuses a source that is no http URL, without showing what is in it', () => {
    expect(() => authenticator({ url: 'ftp://feed.example/' })).toThrow('ftp://feed.example/ is no http or https URL');
    expect(() => authenticator({ url: 'ftp://ann:s3cret@feed.example/' })).not.toThrow('s3cret');
    expect(() => authenticator({ alsoFor: ['feed'] })).toThrow('feed is no http or https URL');
  });

  it('reads configured credentials when the source is asked for the first time, and again after a failure', () => {
    let asked = 0;
    const auth = authenticator({
      credentials: () => {
        if (++asked === 1) throw new Error('encrypted');
        return ANN;
      },
    });
    expect(auth.headers('https://other.example/')).toBeUndefined();
    expect(asked).toBe(0);
    expect(() => auth.headers(URL_OF_SOURCE)).toThrow('encrypted');
    expect(auth.headers(URL_OF_SOURCE)).toBe(auth.headers(URL_OF_SOURCE));
    expect(asked).toBe(2);
  });

  it('refuses credentials that no header can hold each time, and never asks without a name instead', () => {
    for (const credentials of [bearerCredentials('s3cret\n'), basicCredentials('a:b', 's3cret')]) {
      const auth = authenticator({ credentials });
      for (let times = 0; times < 2; times++) expect(() => auth.headers(URL_OF_SOURCE)).toThrow(NuGetError);
    }
  });

  it('asks the provider after a 401 and goes on using what it said', async () => {
    const { provider, requests } = providerOf(ANN);
    const auth = authenticator({ provider });
    expect(auth.headers(URL_OF_SOURCE)).toBeUndefined();
    expect(await auth.challenged(refused())).toBe(true);
    expect(requests).toMatchObject([
      { source: 'feed', url: URL_OF_SOURCE, challenge: 'Basic realm="x"', isRetry: false },
    ]);
    const sent = auth.headers('https://feed.example/other');
    expect(sent).toEqual({ authorization: BASIC_ANN });
    auth.accepted(sent);
    expect(requests).toHaveLength(1);
  });

  it('asks once for all requests that are refused at the same time', async () => {
    let answer: (credentials: Credentials) => void = () => {};
    let asked = 0;
    const auth = authenticator({
      provider: () => {
        asked++;
        return new Promise((resolve) => {
          answer = resolve;
        });
      },
    });
    const waiting = Array.from({ length: 20 }, () => auth.challenged(refused()));
    await Promise.resolve();
    answer(ANN);
    expect(await Promise.all(waiting)).toEqual(Array(20).fill(true));
    expect(asked).toBe(1);
    // A request that was under way without credentials comes back only now.
    expect(await auth.challenged(refused())).toBe(true);
    expect(asked).toBe(1);
  });

  it('tells the provider that what it said was refused, and gives up after so many answers', async () => {
    const time = new ManualTime();
    const tokens = ['a', 'b', 'c', 'd', 'e'].map(bearerCredentials);
    const { provider, requests } = providerOf(...tokens);
    const auth = authenticator({ provider, clock: time.clock });
    for (let i = 0; i < 3; i++) expect(await auth.challenged(refused(auth.headers(URL_OF_SOURCE)))).toBe(true);
    expect(requests.map(({ isRetry }) => isRetry)).toEqual([false, true, true]);
    for (let i = 0; i < 5; i++) expect(await auth.challenged(refused(auth.headers(URL_OF_SOURCE)))).toBe(false);
    expect(requests).toHaveLength(3);
    await time.advance(60_000);
    expect(await auth.challenged(refused(auth.headers(URL_OF_SOURCE)))).toBe(true);
    expect(requests).toHaveLength(4);
  });

  it('gives up after so many answers, whatever came to requests without them', async () => {
    const { provider, requests } = providerOf(...['a', 'b', 'c', 'd'].map(bearerCredentials));
    const auth = authenticator({ provider });
    for (let i = 0; i < 5; i++) {
      const sent = auth.headers(URL_OF_SOURCE);
      expect(await auth.challenged(refused(sent))).toBe(i < 3);
      auth.accepted(undefined);
      if (i < 3) auth.accepted(sent);
    }
    expect(requests).toHaveLength(3);
  });

  it('tells the provider nothing of what others said and was refused', async () => {
    const { provider, requests } = providerOf(bearerCredentials('a'), bearerCredentials('b'), bearerCredentials('c'));
    const auth = authenticator({ provider, credentials: ANN });
    for (let i = 0; i < 2; i++) expect(await auth.challenged(refused(auth.headers(URL_OF_SOURCE)))).toBe(true);
    auth.replace(ANN);
    expect(await auth.challenged(refused(auth.headers(URL_OF_SOURCE)))).toBe(true);
    expect(requests.map(({ isRetry }) => isRetry)).toEqual([false, true, false]);
  });

  it('may ask again and again for tokens that worked and ended', async () => {
    const tokens = Array.from({ length: 10 }, (_, i) => bearerCredentials(`token-${i}`));
    const { provider, requests } = providerOf(...tokens);
    const auth = authenticator({ provider });
    for (let i = 0; i < 10; i++) {
      expect(await auth.challenged(refused(auth.headers(URL_OF_SOURCE)))).toBe(true);
      auth.accepted(auth.headers(URL_OF_SOURCE));
    }
    expect(requests).toHaveLength(10);
  });

  it.each([
    ['knows none', undefined],
    ['knows none, and has no types', null as unknown as undefined],
    ['says again what was refused', ANN],
  ])('leaves a provider alone that %s', async (_, answer) => {
    const time = new ManualTime();
    const { provider, requests } = providerOf(answer, answer);
    const auth = authenticator({ provider, credentials: ANN, clock: time.clock, refusedForMs: 1000 });
    const sent = auth.headers(URL_OF_SOURCE);
    expect(await auth.challenged(refused(sent))).toBe(false);
    expect(await auth.challenged(refused(sent))).toBe(false);
    expect(requests).toHaveLength(1);
    expect(auth.headers(URL_OF_SOURCE)).toBe(sent);
    await time.advance(1000);
    expect(await auth.challenged(refused(sent))).toBe(false);
    expect(requests).toHaveLength(2);
  });

  it('asks a provider once in a while after a 403, and after a 401 all the same', async () => {
    const time = new ManualTime();
    const { provider, requests } = providerOf(undefined, undefined, bearerCredentials('new'));
    const auth = authenticator({ provider, credentials: ANN, clock: time.clock, refusedForMs: 1000 });
    const sent = auth.headers(URL_OF_SOURCE);
    for (let i = 0; i < 3; i++) expect(await auth.forbidden(refused(sent))).toBe(false);
    expect(requests).toHaveLength(1);
    expect(await auth.challenged(refused(sent))).toBe(false);
    expect(requests).toHaveLength(2);
    await time.advance(1000);
    expect(await auth.forbidden(refused(sent, 'https://cdn.example/x'))).toBe(false);
    expect(await auth.forbidden(refused(sent))).toBe(true);
    expect(await auth.forbidden(refused(sent))).toBe(true);
    expect(auth.headers(URL_OF_SOURCE)).toEqual({ authorization: 'Bearer new' });
    expect(requests).toHaveLength(3);
  });

  it('asks without a name where the provider says none', async () => {
    const auth = authenticator({ credentials: ANN, provider: providerOf({ type: 'none' }).provider });
    expect(await auth.challenged(refused(auth.headers(URL_OF_SOURCE)))).toBe(true);
    expect(auth.headers(URL_OF_SOURCE)).toBeUndefined();
    auth.accepted(undefined);
  });

  it('never asks for another origin, nor without a provider', async () => {
    const { provider, requests } = providerOf(ANN);
    const auth = authenticator({ provider });
    expect(await auth.challenged(refused(undefined, 'https://cdn.example/x'))).toBe(false);
    expect(await auth.challenged(refused(undefined, 'http://feed.example/x'))).toBe(false);
    expect(requests).toHaveLength(0);
    expect(await authenticator().challenged(refused())).toBe(false);
  });

  it('fails with the reason of a provider that fails, without secrets, and tries again later', async () => {
    const time = new ManualTime();
    let asked = 0;
    const auth = authenticator({
      clock: time.clock,
      provider: async () => {
        asked++;
        throw new Error('no terminal for https://ann:s3cret@feed.example/');
      },
    });
    const failure = await auth.challenged(refused()).catch((error: unknown) => error);
    expect(isNuGetError(failure) && failure.code).toBe('UNAUTHORIZED');
    expect(String(failure)).toContain('feed: its credential provider failed: no terminal');
    expect(String(failure)).not.toContain('s3cret');
    expect(await auth.challenged(refused())).toBe(false);
    expect(asked).toBe(1);
    await time.advance(60_000);
    await expect(auth.challenged(refused())).rejects.toThrow('credential provider failed');
  });

  it('stops the provider when nobody waits any more, and asks anew then', async () => {
    const signals: (AbortSignal | undefined)[] = [];
    const auth = authenticator({
      provider: ({ signal }) => {
        signals.push(signal);
        if (signals.length === 2) return Promise.resolve(ANN);
        return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
      },
    });
    const [first, second] = [new AbortController(), new AbortController()];
    const waiting = [first, second].map(({ signal }) => auth.challenged({ ...refused(), signal }));
    first.abort(new Error('gone'));
    await expect(waiting[0]).rejects.toThrow('gone');
    expect(signals[0]?.aborted).toBe(false);
    second.abort(new Error('gone, too'));
    await expect(waiting[1]).rejects.toThrow('gone, too');
    expect(signals[0]?.aborted).toBe(true);
    expect(await auth.challenged(refused())).toBe(true);
    expect(auth.headers(URL_OF_SOURCE)).toEqual({ authorization: BASIC_ANN });
  });

  it('asks once for those who come after all have gone, though who was asked for them ends only now', async () => {
    let asked = 0;
    const auth = authenticator({ provider: () => new Promise(() => asked++) });
    const gone = new AbortController();
    const left = auth.challenged({ ...refused(), signal: gone.signal });
    gone.abort(new Error('gone'));
    const later = new AbortController();
    const first = auth.challenged({ ...refused(), signal: later.signal });
    await expect(left).rejects.toThrow('gone');
    const second = auth.challenged({ ...refused(), signal: later.signal });
    expect(asked).toBe(2);
    later.abort(new Error('over'));
    for (const waiting of [first, second]) await expect(waiting).rejects.toThrow('over');
  });

  it('leaves no timer behind when nobody waits any more for a provider that ignores its signal', async () => {
    const before = coarseTimers.size;
    const auth = authenticator({ provider: () => new Promise(() => {}) });
    const caller = new AbortController();
    const waiting = auth.challenged({ ...refused(), signal: caller.signal });
    expect(coarseTimers.size).toBe(before + 1);
    caller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    expect(coarseTimers.size).toBe(before);
  });

  it('ignores what a provider says that nobody waits for any more', async () => {
    const answers: ((credentials: Credentials) => void)[] = [];
    const auth = authenticator({ provider: () => new Promise((resolve) => answers.push(resolve)) });
    const caller = new AbortController();
    const waiting = auth.challenged({ ...refused(), signal: caller.signal });
    caller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    const next = auth.challenged(refused());
    answers[0]?.(bearerCredentials('late'));
    answers[1]?.(ANN);
    expect(await next).toBe(true);
    expect(auth.headers(URL_OF_SOURCE)).toEqual({ authorization: BASIC_ANN });
  });

  it('waits for a provider no longer than it may', async () => {
    let signal: AbortSignal | undefined;
    const auth = authenticator({
      providerTimeoutMs: 1,
      provider: (request) => {
        signal = request.signal;
        return new Promise(() => {});
      },
    });
    await expect(auth.challenged(refused())).rejects.toThrow('no answer within 1 ms');
    expect(signal?.aborted).toBe(true);
  });

  it('says what a 401 that stays means', async () => {
    const without = authenticator();
    const challenge = 'Negotiate, NTLM, Basic realm="ann:s3cret"';
    expect(without.unauthorized(URL_OF_SOURCE, challenge)).toMatchObject({
      code: 'UNAUTHORIZED',
      source: 'feed',
      statusCode: 401,
      message: 'feed: it wants credentials (it takes negotiate, ntlm, basic), and there are none for it',
    });
    expect(without.unauthorized(URL_OF_SOURCE, undefined, { hasApiKey: true, reason: 'no such key' }).message).toBe(
      'feed: it refuses the API key, or wants credentials besides, and there are none for it: no such key',
    );
    const auth = authenticator({ credentials: ANN });
    auth.headers(URL_OF_SOURCE);
    expect(auth.unauthorized(URL_OF_SOURCE, undefined).message).toBe(
      'feed: it refuses the credentials that it was given',
    );
    expect(auth.unauthorized('https://cdn.example/x', undefined).message).toBe(
      'feed: https://cdn.example wants credentials, and those of the source are for https://feed.example only',
    );
    expect(auth.unauthorized('nonsense', undefined).message).toContain('another host wants credentials');
  });
});

describe('other credentials', () => {
  it('are sent from the next request on, whatever was refused before', async () => {
    const { provider, requests } = providerOf(undefined, ANN);
    const auth = authenticator({ credentials: basicCredentials('bob', 'x'), provider });
    expect(await auth.challenged(refused(auth.headers(URL_OF_SOURCE)))).toBe(false);
    auth.replace(bearerCredentials('token'));
    const headers = auth.headers(URL_OF_SOURCE);
    expect(headers).toEqual({ authorization: 'Bearer token' });
    auth.replace(bearerCredentials('token'));
    expect(auth.headers(URL_OF_SOURCE)).toBe(headers);
    // It was left alone for what it said about the others.
    expect(await auth.challenged(refused(headers))).toBe(true);
    expect([requests.length, auth.headers(URL_OF_SOURCE)]).toEqual([2, { authorization: BASIC_ANN }]);
    auth.replace(undefined);
    expect(auth.headers(URL_OF_SOURCE)).toBeUndefined();
  });

  it('may be refused as often as the first ones', async () => {
    const { provider, requests } = providerOf(...['a', 'b', 'c', 'd', 'e', 'f'].map(bearerCredentials));
    const auth = authenticator({ provider });
    const refuse = () => auth.challenged(refused(auth.headers(URL_OF_SOURCE)));
    for (let i = 0; i < 2; i++) expect(await refuse()).toBe(true);
    auth.replace(ANN);
    for (let i = 0; i < 3; i++) expect(await refuse()).toBe(true);
    expect(await refuse()).toBe(false);
    expect(requests).toHaveLength(5);
  });

  it('leave everything as it was where no header can hold them', () => {
    for (const wasAsked of [true, false]) {
      const auth = authenticator({ credentials: ANN });
      if (wasAsked) auth.headers(URL_OF_SOURCE);
      expect(() => auth.replace(bearerCredentials('s3cret\n'))).toThrow(NuGetError);
      expect(auth.headers(URL_OF_SOURCE)).toEqual({ authorization: BASIC_ANN });
    }
  });

  it('count although the first ones were never looked at', () => {
    const auth = authenticator({
      credentials: () => {
        throw new Error('they must not be read');
      },
    });
    auth.replace(ANN);
    expect(auth.headers(URL_OF_SOURCE)).toEqual({ authorization: BASIC_ANN });
  });
});
