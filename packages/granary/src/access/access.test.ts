import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { AccessDeniedError, type Credentials, type Right } from '@granary/reapi';
import { nullLogger } from '@granary/telemetry';
import { Profiler } from '@granary/telemetry/profiling';
import { hashSync, verify } from '@node-rs/bcrypt';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createAdminHandler } from '../admin/admin-handler.js';
import { profilingRoutes } from '../admin/profiling-routes.js';
import { configFrom } from '../config/load.js';
import type { ConfigError, ConfigMistake } from '../config/mistake.js';
import { call, GRPC_CALLS, grpcClient } from '../testing/grpc-calls.js';
import { startTestServer, type TestServer, temporaryFolder } from '../testing/test-server.js';
import { clientNetwork } from './connection.js';
import { anonymousLevel, exposureWarnings } from './exposure.js';
import { FailureLimit } from './failure-limit.js';
import { parseHtpasswd } from './htpasswd.js';
import { loadIdentities } from './load-identities.js';
import { type AccessOptions, AccessPolicy } from './policy.js';
import { presentedCredentials } from './presented.js';
import { SecretHash } from './secret-hash.js';
import { parseTokens } from './tokens.js';

const bcrypt = (password: string) => hashSync(password, { cost: 4 });
const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

const TOKENS = { root: 'root-token-0123456789', ci: 'ci-token-0123456789', locked: 'locked-token-0123456789' };
const USERS_FILE = ['# people', `reader:${bcrypt('r')}`, `writer:${bcrypt('w')}`, ''].join('\n');
const TOKENS_FILE = [`root:${TOKENS.root}:admin`, `ci:${TOKENS.ci}`, '', `locked:${TOKENS.locked}:none`].join('\n');

/** Who asks, and what they may do. */
const IDENTITIES: readonly { who: string; authorization?: string; rights: readonly Right[]; known: boolean }[] = [
  { who: 'nobody', rights: [], known: false },
  { who: 'a reader', authorization: basic('reader', 'r'), rights: ['read'], known: true },
  { who: 'a writer', authorization: basic('writer', 'w'), rights: ['read', 'write'], known: true },
  { who: 'an administrator', authorization: `Bearer ${TOKENS.root}`, rights: ['read', 'write', 'admin'], known: true },
  {
    who: 'a token without a right of its own',
    authorization: `bearer ${TOKENS.ci}`,
    rights: ['read', 'write'],
    known: true,
  },
  { who: 'a token without any right', authorization: `Bearer ${TOKENS.locked}`, rights: [], known: true },
  { who: 'a reader with a wrong password', authorization: basic('reader', 'w'), rights: [], known: false },
  { who: 'an unknown user', authorization: basic('mallory', 'r'), rights: [], known: false },
  { who: 'an unknown token', authorization: 'Bearer no-such-token-0123456789', rights: [], known: false },
  { who: 'a malformed header', authorization: 'Basic !!!', rights: [], known: false },
  { who: 'another scheme', authorization: 'Digest username="reader"', rights: [], known: false },
];

describe('access, by port, method and identity', () => {
  let folder: string;
  let running: TestServer;
  let adminUrl: string;
  let closeAdmin: () => void;

  beforeAll(async () => {
    folder = await temporaryFolder();
    await writeFile(join(folder, 'htpasswd'), USERS_FILE);
    await writeFile(join(folder, 'tokens'), TOKENS_FILE);
    const auth = {
      'auth.htpasswd_file': join(folder, 'htpasswd'),
      'auth.tokens_file': join(folder, 'tokens'),
      'auth.rights': { reader: 'read' },
      'auth.max_failures': 1000,
    };
    running = await startTestServer(auth);
    // Tests can't come from another machine, so the admin port's handler is told that they do.
    const config = configFrom(auth);
    const hash = new SecretHash();
    const policy = policyWith({
      identities: await loadIdentities(config.auth, hash),
      hash,
      rights: config.auth.rights,
      verifyPassword: verify,
      maxFailures: 1000,
    });
    const handle = createAdminHandler({
      health: {
        report: async () => ({ status: 'healthy', checks: [], draining: false }),
        last: () => ({ status: 'healthy', checks: [], draining: false }),
      },
      metrics: async () => ({ contentType: 'text/plain', body: 'metrics' }),
      stats: () => ({}),
      version: () => ({}),
      routes: profilingRoutes(new Profiler()),
      authorize: (credentials) => policy.authorizeAdmin({ ...credentials, socket: socketFrom('192.0.2.7') }),
      isAdmin: () => false,
      logger: nullLogger,
    });
    const server = createServer(handle).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    adminUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    closeAdmin = () => server.close();
  });

  afterAll(async () => {
    closeAdmin?.();
    await running?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const grpcMethods = [
    { method: GRPC_CALLS.health, right: undefined },
    { method: GRPC_CALLS.read, right: 'read' },
    { method: '/build.bazel.remote.execution.v2.Capabilities/GetCapabilities', right: 'read' },
    { method: GRPC_CALLS.write, right: 'write' },
  ] as const;

  describe.each(IDENTITIES)('$who', ({ authorization, rights, known }) => {
    const headers = authorization === undefined ? {} : { authorization };
    const may = (right: Right | undefined) => right === undefined || rights.includes(right);

    it.each(grpcMethods)('gRPC $method', async ({ method, right }) => {
      const client = grpcClient(running.address('listen.grpc'));
      const { code } = await call(client, method, headers);
      client.close();
      expect(code).toBe(may(right) ? 'OK' : known ? 'PERMISSION_DENIED' : 'UNAUTHENTICATED');
    });

    it.each([
      { verb: 'GET', path: `/cas/${'a'.repeat(64)}`, right: 'read', allowed: 404 },
      { verb: 'HEAD', path: `/ac/${'a'.repeat(64)}`, right: 'read', allowed: 404 },
      { verb: 'PUT', path: `/ac/${'b'.repeat(64)}`, right: 'write', allowed: 200 },
      { verb: 'GET', path: '/status', right: 'read', allowed: 200 },
    ] as const)('HTTP $verb $path', async ({ verb, path, right, allowed }) => {
      const url = `http://${running.address('listen.http')}${path}`;
      const response = await fetch(url, { method: verb, headers, ...(verb === 'PUT' && { body: 'opaque' }) });
      await response.arrayBuffer();
      expect(response.status).toBe(may(right) ? allowed : known ? 403 : 401);
      expect(response.headers.has('www-authenticate')).toBe(response.status === 401);
    });

    it.each([
      { path: '/healthz', right: undefined },
      { path: '/readyz', right: undefined },
      { path: '/metrics', right: 'admin' },
      { path: '/stats', right: 'admin' },
      { path: '/version', right: 'admin' },
      { path: '/nothing', right: 'admin' },
      { path: '/', right: 'admin' },
      { path: '/debug/pprof/', right: 'admin' },
      { path: '/debug/pprof/cmdline', right: 'admin' },
    ] as const)('admin GET $path from another machine', async ({ path, right }) => {
      const response = await fetch(adminUrl + path, { headers });
      await response.arrayBuffer();
      expect(response.status).toBe(may(right) ? (path === '/nothing' ? 404 : 200) : known ? 403 : 401);
      expect(response.headers.has('www-authenticate')).toBe(response.status === 401);
    });

    it('admin from loopback needs no credentials', async () => {
      const response = await fetch(`http://${running.address('listen.admin')}/stats`, { headers });
      await response.arrayBuffer();
      expect(response.status).toBe(200);
    });
  });

  it.each([
    ['reader:r', 'OK', 'PERMISSION_DENIED'],
    ['writer:w', 'OK', 'OK'],
    ['writer:r', 'UNAUTHENTICATED', 'UNAUTHENTICATED'],
    ['writer', 'UNAUTHENTICATED', 'UNAUTHENTICATED'],
  ])('takes %s from the authority of a gRPC URL', async (userinfo, readCode, writeCode) => {
    const options = { 'grpc.default_authority': `${userinfo}@cache.example:9092` };
    const client = grpcClient(running.address('listen.grpc'), undefined, options);
    expect((await call(client, GRPC_CALLS.read)).code).toBe(readCode);
    expect((await call(client, GRPC_CALLS.write)).code).toBe(writeCode);
    client.close();
  });

  const refusals = async () => {
    const metrics = await (await fetch(`http://${running.address('listen.admin')}/metrics`)).text();
    return metrics.split('\n').filter((line) => line.startsWith('granary_auth_refusals_total'));
  };

  it('counts no refusal when a client that may only read asks what it may do', async () => {
    const before = await refusals();
    const path = '/build.bazel.remote.execution.v2.Capabilities/GetCapabilities';
    for (const userinfo of ['reader:r', 'writer:w']) {
      const client = grpcClient(running.address('listen.grpc'), undefined, {
        'grpc.default_authority': `${userinfo}@cache.example:9092`,
      });
      for (let i = 0; i < 3; i++) expect((await call(client, path)).code).toBe('OK');
      client.close();
    }
    expect(await refusals()).toEqual(before);
  });

  it('counts what it refuses', async () => {
    const client = grpcClient(running.address('listen.grpc'), undefined, {
      'grpc.default_authority': 'reader:r@cache.example:9092',
    });
    expect((await call(client, GRPC_CALLS.write)).code).toBe('PERMISSION_DENIED');
    client.close();
    expect((await fetch(`http://${running.address('listen.http')}/status`)).status).toBe(401);
    const metrics = (await refusals()).join('\n');
    expect(metrics).toMatch(/^granary_auth_refusals_total\{reason="unauthenticated"\} [1-9]/m);
    expect(metrics).toMatch(/^granary_auth_refusals_total\{reason="permission_denied"\} [1-9]/m);
  });
});

function socketFrom(remoteAddress: string): Socket {
  return { remoteAddress, localAddress: '192.0.2.1' } as Socket;
}

function certified(subject: Record<string, unknown> | undefined, authorized = true): Socket {
  const certificate = subject ? { raw: Buffer.from('der'), subject } : {};
  return { ...socketFrom('192.0.2.9'), encrypted: true, authorized, getPeerCertificate: () => certificate } as never;
}

function policyWith(options: Partial<AccessOptions> = {}): AccessPolicy {
  return new AccessPolicy({
    identities: { users: new Map([['ann', 'hash-of-secret']]), tokens: [] },
    hash: new SecretHash(),
    verifyPassword: async (password, hash) => hash === `hash-of-${password}`,
    hasCredentials: true,
    anonymous: 'none',
    rights: {},
    defaultRight: 'write',
    maxFailures: 3,
    ...options,
  });
}

const from = (authorization: string | undefined, address = '192.0.2.1'): Credentials => ({
  authorization,
  authority: undefined,
  socket: socketFrom(address),
});

async function codeOf(attempt: () => unknown): Promise<string> {
  try {
    return `allowed ${await attempt()}`;
  } catch (error) {
    expect(error).toBeInstanceOf(AccessDeniedError);
    return (error as AccessDeniedError).code;
  }
}

describe('a policy', () => {
  it('runs bcrypt once for a right password, and answers the next request without a promise', async () => {
    const verifyPassword = vi.fn(async () => true);
    const policy = policyWith({ verifyPassword });
    const many = Array.from({ length: 20 }, (_, i) =>
      policy.authorize(from(basic('ann', 'secret'), `192.0.2.${i}`), 'read'),
    );
    expect(await Promise.all(many)).toEqual(Array.from({ length: 20 }, () => 'ann'));
    expect(policy.authorize(from(basic('ann', 'secret')), 'write')).toBe('ann');
    expect(verifyPassword).toHaveBeenCalledTimes(1);
  });

  it('takes a right password that comes many times at once for no burst of guesses', async () => {
    const policy = policyWith();
    const many = Array.from({ length: 20 }, () => policy.authorize(from(basic('ann', 'secret')), 'read'));
    expect(await Promise.all(many)).toEqual(Array.from({ length: 20 }, () => 'ann'));
    const guesses = Array.from({ length: 4 }, (_, i) => from(basic('ann', `wrong ${i}`)));
    const codes = await Promise.all(guesses.map((guess) => codeOf(() => policy.authorize(guess, 'read'))));
    expect(codes).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED', 'UNAUTHENTICATED', 'RATE_LIMITED']);
  });

  it('verifies again when the files were read again, and forgets who is gone', async () => {
    const policy = policyWith();
    const credentials = from(basic('ann', 'secret'));
    expect(await policy.authorize(credentials, 'read')).toBe('ann');
    policy.replace({ users: new Map(), tokens: [] });
    expect(await codeOf(() => policy.authorize(credentials, 'read'))).toBe('UNAUTHENTICATED');
  });

  it('does not remember across a reload what was being verified before', async () => {
    let release: (right: boolean) => void = () => {};
    const policy = policyWith({ verifyPassword: () => new Promise((resolve) => (release = resolve)) });
    const credentials = from(basic('ann', 'secret'));
    const first = policy.authorize(credentials, 'read');
    policy.replace({ users: new Map(), tokens: [] });
    release(true);
    expect(await first).toBe('ann');
    const second = policy.authorize(credentials, 'read');
    release(true);
    expect(await codeOf(() => second)).toBe('UNAUTHENTICATED');
  });

  it('answers questions about rights without a refusal', async () => {
    const refused: string[] = [];
    const policy = policyWith({
      rights: { ann: 'read' },
      anonymous: 'read',
      onRefused: (reason) => refused.push(reason),
    });
    const ann = from(basic('ann', 'secret'));
    expect(await policy.allows(ann, 'read')).toBe(true);
    expect(await policy.allows(ann, 'write')).toBe(false);
    expect(policy.allows(from(undefined), 'read')).toBe(true);
    expect(policy.allows(from(undefined), 'write')).toBe(false);
    expect(refused).toEqual([]);
    expect(await codeOf(() => policy.authorize(ann, 'write'))).toBe('PERMISSION_DENIED');
    expect(await codeOf(async () => String(await policy.allows(from(basic('ann', 'wrong')), 'read')))).toBe(
      'UNAUTHENTICATED',
    );
    expect(refused).toEqual(['PERMISSION_DENIED', 'UNAUTHENTICATED']);
  });

  it('spends as much on an unknown user as on a wrong password', async () => {
    const verifyPassword = vi.fn(async () => true);
    const policy = policyWith({ verifyPassword });
    expect(await codeOf(() => policy.authorize(from(basic('mallory', 'x')), 'read'))).toBe('UNAUTHENTICATED');
    expect(verifyPassword).toHaveBeenCalledWith('x', 'hash-of-secret');
  });

  it('stops guesses after the limit, even a right one, for that user and address alone', async () => {
    let now = 0;
    const refused: string[] = [];
    const policy = policyWith({ clock: () => now, onRefused: (reason) => refused.push(reason) });
    const guess = (password: string, address?: string) =>
      codeOf(() => policy.authorize(from(basic('ann', password), address), 'read'));
    for (let i = 0; i < 3; i++) expect(await guess(`wrong ${i}`)).toBe('UNAUTHENTICATED');
    expect(await guess('secret')).toBe('RATE_LIMITED');
    expect(await guess('secret', '192.0.2.2')).toBe('allowed ann');
    expect(await guess('secret')).toBe('RATE_LIMITED');
    now += 60_000;
    expect(await guess('secret')).toBe('allowed ann');
    expect(refused).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED', 'UNAUTHENTICATED', 'RATE_LIMITED', 'RATE_LIMITED']);
  });

  it('does not let a burst of guesses past the limit while the first are still verified', async () => {
    const verifyPassword = vi.fn(async () => false);
    const policy = policyWith({ verifyPassword });
    const codes = await Promise.all(
      Array.from({ length: 10 }, (_, i) => codeOf(() => policy.authorize(from(basic('ann', `guess ${i}`)), 'read'))),
    );
    expect(codes.filter((code) => code === 'UNAUTHENTICATED')).toHaveLength(3);
    expect(verifyPassword).toHaveBeenCalledTimes(3);
  });

  it('verifies few passwords at a time and refuses what would wait too long', async () => {
    let running = 0;
    let most = 0;
    const verifyPassword = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return false;
    };
    const policy = policyWith({ verifyPassword, maxFailures: 1000 });
    const codes = await Promise.all(
      Array.from({ length: 100 }, (_, i) => codeOf(() => policy.authorize(from(basic('ann', `guess ${i}`)), 'read'))),
    );
    expect(most).toBe(2);
    expect(codes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(100 - 66);
  });

  it('slows unknown tokens down, but never a right one', async () => {
    const hash = new SecretHash();
    const tokens = parseTokens('tokens', TOKENS_FILE, hash, []);
    const policy = policyWith({ hash, identities: { users: new Map(), tokens } });
    const codes: string[] = [];
    for (let i = 0; i < 5; i++) codes.push(await codeOf(() => policy.authorize(from(`Bearer wrong-${i}`), 'read')));
    expect(codes).toEqual([...Array(3).fill('UNAUTHENTICATED'), 'RATE_LIMITED', 'RATE_LIMITED']);
    expect(policy.authorize(from(`Bearer ${TOKENS.ci}`), 'write')).toBe('ci');
    expect(await codeOf(() => policy.authorize(from('nonsense'), 'read'))).toBe('RATE_LIMITED');
  });

  it('knows clients by their verified certificate', async () => {
    const policy = policyWith({
      defaultRight: 'read',
      rights: { 'CN=ci': 'write', 'O=Example,CN=root': 'admin', 'CN=a\\,b': 'admin' },
    });
    const level = async (socket: Socket) => {
      const rights: Right[] = ['read', 'write', 'admin'];
      const codes = await Promise.all(
        rights.map((right) =>
          codeOf(() => policy.authorize({ authorization: undefined, authority: undefined, socket }, right)),
        ),
      );
      return rights.filter((_, i) => codes[i]?.startsWith('allowed'));
    };
    expect(await level(certified({ O: 'Example', CN: 'ci' }))).toEqual(['read', 'write']);
    expect(await level(certified({ O: 'Example', CN: 'root' }))).toEqual(['read', 'write', 'admin']);
    expect(await level(certified({ O: ['Other', 'Example'], CN: 'root' }))).toEqual(['read']);
    expect(await level(certified({ CN: 'a,b' }))).toEqual(['read', 'write', 'admin']);
    expect(await level(certified({ CN: 'ci,CN=root' }))).toEqual(['read']);
    expect(await level(certified({ O: 'Example' }))).toEqual(['read']);
    expect(await level({ stream: { connection: certified({ CN: 'ci' }) } } as never)).toEqual(['read', 'write']);
    expect(await level(certified({ CN: 'ci' }, false))).toEqual([]);
    expect(await level(certified(undefined))).toEqual([]);
  });

  it('survives a connection that is gone', async () => {
    const gone = new Proxy({} as Socket, {
      get() {
        throw new Error('the session is gone');
      },
    });
    const credentials = { authorization: undefined, authority: undefined, socket: gone };
    expect(await codeOf(() => policyWith().authorize(credentials, 'read'))).toBe('UNAUTHENTICATED');
    expect(await codeOf(() => policyWith().authorizeAdmin(credentials))).toBe('UNAUTHENTICATED');
  });

  it('does not look at credentials where there is nothing to compare them with', () => {
    const policy = policyWith({ hasCredentials: false, anonymous: 'write' });
    expect(policy.authorize(from(basic('ann', 'whatever')), 'write')).toBe('anonymous');
    expect(() => policy.authorize(from(undefined), 'admin')).toThrow('anonymous has no right to administer here');
  });

  it('lets anonymous clients do what they may, and wrong credentials nothing', async () => {
    const policy = policyWith({ anonymous: 'read' });
    expect(policy.authorize(from(undefined), 'read')).toBe('anonymous');
    expect(await codeOf(() => policy.authorize(from(undefined), 'write'))).toBe('UNAUTHENTICATED');
    expect(await codeOf(() => policy.authorize(from(basic('ann', 'wrong')), 'read'))).toBe('UNAUTHENTICATED');
  });

  it('takes no name from an object for one with a right', async () => {
    const users = new Map([['constructor', 'hash-of-x']]);
    const policy = policyWith({ identities: { users, tokens: [] }, defaultRight: 'none' });
    expect(await codeOf(() => policy.authorize(from(basic('constructor', 'x')), 'read'))).toBe('PERMISSION_DENIED');
  });
});

describe('credentials', () => {
  const of = (authorization?: string, authority?: string) =>
    presentedCredentials({ authorization, authority, socket: undefined });

  it.each([
    [basic('ann', 'a:b'), { kind: 'basic', user: 'ann', password: 'a:b' }],
    [basic('ann', ''), { kind: 'basic', user: 'ann', password: '' }],
    [basic('änn', 'ü'), { kind: 'basic', user: 'änn', password: 'ü' }],
    ['BEARER abc', { kind: 'bearer', token: 'abc' }],
    [basic('', 'x'), { kind: 'basic', user: '', password: 'x' }],
    [`Basic ${Buffer.from('no colon').toString('base64')}`, { kind: 'malformed' }],
    ['Basic', { kind: 'malformed' }],
    ['', { kind: 'malformed' }],
    ['Bearer a b', { kind: 'malformed' }],
  ])('from the header %j', (header, expected) => expect(of(header)).toEqual(expected));

  it.each([
    ['host:9092', undefined],
    [undefined, undefined],
    ['ann:secret@host:9092', { kind: 'basic', user: 'ann', password: 'secret' }],
    ['ann:p%40ss%3A@host', { kind: 'basic', user: 'ann', password: 'p@ss:' }],
    ['ann@host', { kind: 'malformed' }],
    [':x@host', { kind: 'malformed' }],
    ['ann:%zz@host', { kind: 'malformed' }],
  ])('from the authority %j', (authority, expected) => expect(of(undefined, authority)).toEqual(expected));

  it('from the header rather than the authority', () => {
    expect(of('Bearer abc', 'ann:secret@host')).toEqual({ kind: 'bearer', token: 'abc' });
  });
});

describe('the files', () => {
  const wrong = (parse: (mistakes: ConfigMistake[]) => unknown) => {
    const mistakes: ConfigMistake[] = [];
    parse(mistakes);
    return mistakes.map(({ origin, message }) => `${origin} ${message}`);
  };

  it('of users: every wrong line is reported with its number, and no hash is shown', () => {
    const text = [
      'ann:$2y$05$tooshort',
      '# comment',
      'no colon',
      `bob:${bcrypt('b')}`,
      'eve:$apr1$abc$def',
      `bob:${bcrypt('c')}`,
    ];
    const mistakes = wrong((list) => parseHtpasswd('users', text.join('\r\n'), list));
    expect(mistakes).toEqual([
      'users:1 the hash of ann is not bcrypt; allowed: what htpasswd -B writes ($2y$…)',
      'users:3 is no line USER:HASH',
      'users:5 the hash of eve is not bcrypt; allowed: what htpasswd -B writes ($2y$…)',
      'users:6 bob is there twice',
    ]);
  });

  it('of tokens: every wrong line is reported with its number, and no token is shown', () => {
    const token = '0123456789abcdef';
    const text = [
      'ci',
      'ci:short',
      `ci:${token}:root`,
      `ci:${token}`,
      `other:${token}`,
      `x:${token}!:read`,
      `y:${token}:read:z`,
    ];
    const mistakes = wrong((list) => parseTokens('tokens', text.join('\n'), new SecretHash(), list));
    expect(mistakes).toEqual([
      'tokens:1 is no line NAME:TOKEN or NAME:TOKEN:RIGHT',
      'tokens:2 the token of ci is shorter than 16 characters',
      'tokens:3 found right "root"; allowed: none, read, write, admin',
      'tokens:5 the token of other is there twice',
      'tokens:6 the token of x has characters that no bearer token has',
      'tokens:7 is no line NAME:TOKEN or NAME:TOKEN:RIGHT',
    ]);
    expect(mistakes.join()).not.toContain(token);
  });

  it('may begin with a byte order mark', async () => {
    const folder = await temporaryFolder();
    const [users, tokens] = [join(folder, 'users'), join(folder, 'tokens')];
    await writeFile(users, `\ufeffann:${bcrypt('a')}\r\n`);
    await writeFile(tokens, `\ufeff# machines\r\nci:${TOKENS.ci}\r\n`);
    const { auth } = configFrom({ 'auth.htpasswd_file': users, 'auth.tokens_file': tokens });
    const identities = await loadIdentities(auth, new SecretHash());
    expect([...identities.users.keys()]).toEqual(['ann']);
    expect(identities.tokens.map(({ owner }) => owner.name)).toEqual(['ci']);
    await rm(folder, { recursive: true });
  });

  it('that are missing are all named', async () => {
    const { auth } = configFrom({ 'auth.htpasswd_file': '/nowhere/users', 'auth.tokens_file': '/nowhere/tokens' });
    const error: ConfigError = await loadIdentities(auth, new SecretHash()).catch((e) => e);
    expect(error.mistakes.map(({ origin, key }) => `${origin} ${key}`)).toEqual([
      '/nowhere/users auth.htpasswd_file',
      '/nowhere/tokens auth.tokens_file',
    ]);
  });
});

describe('the limit of failures', () => {
  it('remembers 10,000 keys unless it is told otherwise', () => {
    const limit = new FailureLimit({ maxFailures: 1, clock: () => 0 });
    for (let i = 0; i < 10_000; i++) limit.tryAttempt(`${i}`);
    expect(limit.tryAttempt('0')).toBe(false);
    limit.tryAttempt('one more');
    expect(limit.size).toBe(10_000);
    expect(limit.tryAttempt('0')).toBe(true);
  });

  it('gives nothing back to a key that it has forgotten', () => {
    const limit = new FailureLimit({ maxFailures: 1, maxKeys: 1, clock: () => 0 });
    limit.tryAttempt('a');
    limit.tryAttempt('b');
    limit.giveBack('a');
    expect(limit.size).toBe(1);
    expect(limit.tryAttempt('b')).toBe(false);
  });

  it('remembers a bounded number of keys, and forgets the oldest', () => {
    const limit = new FailureLimit({ maxFailures: 1, maxKeys: 2, clock: () => 0 });
    expect(['a', 'b', 'c'].map((key) => limit.tryAttempt(key))).toEqual([true, true, true]);
    expect(limit.size).toBe(2);
    expect(limit.tryAttempt('c')).toBe(false);
    expect(limit.tryAttempt('a')).toBe(true);
    limit.giveBack('a');
    expect(limit.tryAttempt('a')).toBe(true);
  });

  it('takes a key for new when its window begins anew', () => {
    let now = 0;
    const limit = new FailureLimit({ maxFailures: 1, maxKeys: 3, windowMs: 10, clock: () => now });
    limit.tryAttempt('a');
    now = 5;
    limit.tryAttempt('b');
    now = 10;
    for (const key of ['a', 'c', 'd']) expect(limit.tryAttempt(key)).toBe(true);
    expect(limit.tryAttempt('a')).toBe(false);
  });

  it('gives back no more than was counted', () => {
    const limit = new FailureLimit({ maxFailures: 1 });
    limit.tryAttempt('a');
    for (let i = 0; i < 3; i++) limit.giveBack('a');
    expect([limit.tryAttempt('a'), limit.tryAttempt('a')]).toEqual([true, false]);
  });

  it('ends with its window, although the clock was set back meanwhile', async () => {
    const ahead = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000);
    const limit = new FailureLimit({ maxFailures: 1, windowMs: 1 });
    expect(limit.tryAttempt('a')).toBe(true);
    ahead.mockRestore();
    await expect.poll(() => limit.tryAttempt('a')).toBe(true);
  });

  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:db8::3:4:5:6:7', '2001:db8:0:3'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ])('counts %s as %s', (address, network) => expect(clientNetwork(address)).toBe(network));
});

describe('clients without credentials', () => {
  it.each([
    ['on loopback may write', {}, 'write', 0],
    ['elsewhere may read, and the server says so', { 'listen.grpc': '0.0.0.0:9092' }, 'read', 2],
    ['elsewhere may do what is configured', { 'listen.http': ':8080', 'auth.anonymous': 'write' }, 'write', 2],
    ['may do nothing where there are users', { 'auth.htpasswd_file': 'users' }, 'none', 0],
    ['are warned of for lack of TLS', { 'auth.htpasswd_file': 'users', 'listen.grpc': '10.0.0.1:9092' }, 'none', 1],
    [
      'are none where TLS and users are',
      { 'auth.tokens_file': 't', 'listen.grpc': '10.0.0.1:9092', 'tls.cert_file': 'c', 'tls.key_file': 'k' },
      'none',
      0,
    ],
    ['may read beside users', { 'auth.tokens_file': 't', 'auth.anonymous': 'read', 'listen.grpc': ':1' }, 'read', 2],
  ])('%s', (_, values, level, warnings) => {
    const config = configFrom(values);
    expect(anonymousLevel(config)).toBe(level);
    expect(exposureWarnings(config)).toHaveLength(warnings);
  });

  it('are warned of with the address and the way out', () => {
    const [anyone, tls] = exposureWarnings(configFrom({ 'listen.grpc': '0.0.0.0:9092', 'auth.anonymous': 'write' }));
    expect(anyone).toBe(
      'Everybody who reaches 0.0.0.0:9092 can read and REPLACE what is cached, because auth.anonymous is write.',
    );
    expect(tls).toContain('Set tls.cert_file and tls.key_file.');
  });

  it('are warned of with what it takes to upload, and with what passes the network', () => {
    const listen = { 'listen.grpc': '10.0.0.1:9092', 'listen.http': '10.0.0.1:8080' };
    expect(exposureWarnings(configFrom(listen))).toEqual([
      'Everybody who reaches 10.0.0.1:9092 and 10.0.0.1:8080 can read what is cached. Uploads are refused: ' +
        'set auth.htpasswd_file, auth.tokens_file or tls.client_auth, or auth.anonymous to write.',
      '10.0.0.1:9092 and 10.0.0.1:8080 are without TLS: content passes the network readable. ' +
        'Set tls.cert_file and tls.key_file.',
    ]);
    const auth = { 'auth.tokens_file': 'tokens', 'auth.anonymous': 'read' };
    expect(exposureWarnings(configFrom({ 'listen.grpc': '10.0.0.1:9092', ...auth }))).toEqual([
      'Everybody who reaches 10.0.0.1:9092 can read what is cached. Uploads need credentials.',
      '10.0.0.1:9092 is without TLS: content, passwords and tokens pass the network readable. ' +
        'Set tls.cert_file and tls.key_file.',
    ]);
  });
});
