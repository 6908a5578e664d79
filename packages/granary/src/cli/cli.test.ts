import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { certificate, startTestServer, temporaryFolder } from '../testing/test-server.js';
import { takeConfigFlags } from './config-flags.js';
import { run } from './run.js';
import { describeStats } from './stats.js';

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function granary(words: readonly string[], environment: Record<string, string> = {}) {
  let out = '';
  let err = '';
  const exitCode = await run(words, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    environment,
  });
  return { exitCode, out, err };
}

describe('configuration flags', () => {
  it('are taken out of the command line, with their values', () => {
    expect(
      takeConfigFlags([
        'serve',
        '--storage.dir',
        '/x',
        '--config',
        'f.yaml',
        '--listen.http=:80',
        '--auth.rights=CN=ci=read',
        '--ac.read_only',
        '--ac.completeness_check',
        'false',
        '--storage.max_size',
        '--tls.ca_file=',
        '--limits.max_digests',
        '-5',
        'last',
        '--',
        '--not.taken',
      ]),
    ).toEqual({
      flags: [
        { name: 'storage.dir', text: '/x' },
        { name: 'listen.http', text: ':80' },
        { name: 'auth.rights', text: 'CN=ci=read' },
        { name: 'ac.read_only', text: undefined },
        { name: 'ac.completeness_check', text: 'false' },
        { name: 'storage.max_size', text: undefined },
        { name: 'tls.ca_file', text: '' },
        { name: 'limits.max_digests', text: '-5' },
      ],
      rest: ['serve', '--config', 'f.yaml', 'last', '--', '--not.taken'],
    });
  });
});

describe('the command line', () => {
  it('says its version', async () => {
    expect(await granary(['--version'])).toEqual({ exitCode: 0, out: '0.1.0\n', err: '' });
  });

  it('says its version for nuget, too, but not where that of a package is meant', async () => {
    expect(await granary(['nuget', '--version'])).toEqual({ exitCode: 0, out: '0.1.0\n', err: '' });
    for (const command of ['push', 'download', 'info']) {
      const { exitCode, out, err } = await granary(['nuget', command, 'Serilog', '--version', '4.0.0']);
      expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
      expect(err).toContain("unknown option '--version'");
    }
  });

  it('helps, with examples', async () => {
    const { exitCode, out } = await granary(['--help']);
    expect(exitCode).toBe(0);
    for (const word of ['serve', 'config', 'verify', 'stats', 'granary serve --storage.max_size 100GiB'])
      expect(out).toContain(word);
    expect((await granary(['config', '--help'])).out).toContain('schema');
    expect((await granary(['serve', '--help'])).out).toContain('--storage.max_size 100GiB; granary config print');
  });

  it.each([
    [[], 'Usage: granary'],
    [['sreve'], "unknown command 'sreve'"],
    [['serve', '--cofnig', 'x'], '(Did you mean --config?)'],
    [['config'], 'Usage: granary config'],
    [['config', 'schema', 'extra'], 'too many arguments'],
    [
      ['serve', '--storage.max_sise', '1GiB'],
      '--storage.max_sise: there is no such flag; did you mean --storage.max_size?',
    ],
    [['config', 'check', '--config', '/nowhere.yaml'], "/nowhere.yaml: can't be read: there is no such file"],
    [['stats', '--listen.admin', 'none'], 'say where the admin port is'],
    [['stats', '--url', 'nonsense'], 'found "nonsense"; allowed: a URL'],
    [['stats', '--url', 'ftp://cache.example'], 'found "ftp://cache.example"; allowed: a URL'],
    [['stats', '--url', 'ftp://ann:secret@cache.example'], 'found "ftp://[redacted]@cache.example"; allowed: a URL'],
    [['stats', '--url', 'http://a%zz:secret@cache.example'], 'found "http://[redacted]@cache.example"; allowed: a URL'],
    [['config', 'check', '--ac.read_only', 'yes'], '--ac.read_only: found "yes"; allowed: true or false'],
  ])('answers %j with 2 and says why', async (words, message) => {
    const { exitCode, out, err } = await granary(words);
    expect(exitCode).toBe(2);
    expect(err).toContain(message);
    expect(out).toBe('');
  });

  it.each([
    [['sreve'], 'granary'],
    [['serve', '--cofnig', 'x'], 'granary serve'],
    [['nuget', 'deps', 'Serilog'], 'granary nuget deps'],
    [['nuget', 'sources', 'add', 'contoso'], 'granary nuget sources add'],
  ])('answers %j with the help that knows it', async (words, command) => {
    expect((await granary(words)).err).toContain(`\nTry ${command} --help.\n`);
  });

  it('takes no offence at variables that other commands read', async () => {
    const environment = { GRANARY_ADMIN_TOKEN: 'a', GRANARY_NUGET_API_KEY: 'b' };
    expect((await granary(['config', 'check'], environment)).exitCode).toBe(0);
  });

  it('prints the configuration in force, from a file that a variable names', async () => {
    const file = join(folder, 'granary.yaml');
    await writeFile(file, 'storage:\n  max_size: 7GiB\n');
    const { exitCode, out } = await granary(['config', 'print', '--ac.read_only'], { GRANARY_CONFIG: file });
    expect(exitCode).toBe(0);
    expect(parse(out)).toMatchObject({ storage: { max_size: '7GiB' }, ac: { read_only: true } });
    expect(out).toContain(`max_size: 7GiB # ${file}:2`);
  });

  it('takes an empty GRANARY_CONFIG for none, as scripts leave one behind', async () => {
    expect(await granary(['config', 'check'], { GRANARY_CONFIG: '' })).toMatchObject({ exitCode: 0, err: '' });
  });

  it('prints the JSON schema', async () => {
    const { exitCode, out } = await granary(['config', 'schema']);
    expect(exitCode).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ type: 'object', additionalProperties: false });
  });

  it('checks the configuration together with the files that it names', async () => {
    expect(await granary(['config', 'check'])).toMatchObject({ exitCode: 0, out: 'The configuration is right.\n' });
    const users = join(folder, 'users');
    await writeFile(users, 'ann:plain\n');
    const { exitCode, err } = await granary([
      ...['config', 'check', '--auth.htpasswd_file', users, '--auth.tokens_file', '/nowhere/tokens'],
      ...['--tls.cert_file', certificate('server.pem'), '--tls.key_file', certificate('client.key')],
    ]);
    expect(exitCode).toBe(2);
    expect(err).toContain('the configuration has 3 mistakes');
    expect(err).toContain(`${users}:1: auth.htpasswd_file: the hash of ann is not bcrypt`);
    expect(err).toContain("/nowhere/tokens: auth.tokens_file: can't be read");
    expect(err).toContain(
      `${certificate('server.pem').replace('server.pem', 'client.key')}: tls.key_file: can't be used`,
    );
    expect(err).not.toContain('plain');
  });

  it('checks the files of every tier, also those that are read later', async () => {
    const empty = join(folder, 'token');
    await writeFile(empty, '\n');
    const key = certificate('server.key');
    const tiers = [
      { type: 'http', url: 'http://cache', token_file: '/nowhere/token' },
      { type: 'grpc', target: 'cache:9092', token_file: empty, ca_file: certificate('ca.pem') },
      { type: 'redis', urls: ['redis://cache'], password_file: '/nowhere/password' },
      {
        ...{ name: 'secure', type: 'http', url: 'https://cache' },
        ...{ cert_file: certificate('client.pem'), key_file: certificate('server.key') },
      },
      { name: 'strangers', type: 'redis', urls: ['rediss://cache'], ca_file: key },
    ];
    const { exitCode, err } = await granary(['config', 'check', '--tiers', JSON.stringify(tiers)]);
    expect(exitCode).toBe(2);
    expect(err).toContain('the configuration has 5 mistakes');
    expect(err).toContain(`${key}: tiers[4].ca_file: holds no certificate in PEM`);
    expect(err).toContain("/nowhere/token: tiers[0].token_file: can't be read");
    expect(err).toContain(`${empty}: tiers[1].token_file: is empty`);
    expect(err).toContain("/nowhere/password: tiers[2].password_file: can't be read");
    expect(err).toContain(`${certificate('client.pem')}: tiers[3]: can't be used`);
  });

  it('refuses settings of tiers that serve would refuse', async () => {
    const tiers = [
      { type: 'http', name: 'a', url: 'http://cache.test:1:2/' },
      { type: 'grpc', name: 'b', target: 'cache.test:99999' },
      { type: 'grpc', name: 'c', target: 'grpc://cache.test', server_name: 'other.test' },
      { type: 's3', name: 'd', bucket: 'cache', prefix: '../up' },
    ];
    const { exitCode, err } = await granary(['config', 'check', '--tiers', JSON.stringify(tiers)]);
    expect(exitCode).toBe(2);
    for (const [i] of tiers.entries()) expect(err).toContain(`tiers[${i}]`);
    const fine = [
      { type: 'http', url: 'http://user:word@cache.test/' },
      { type: 'redis', urls: ['redis://r.test'] },
    ];
    expect((await granary(['config', 'check', '--tiers', JSON.stringify(fine)])).exitCode).toBe(0);
  });
});

describe('granary stats', () => {
  it('shows what a running server says', async () => {
    await using running = await startTestServer();
    const bytes = randomBytes(1000);
    const path = `/cas/${createHash('sha256').update(bytes).digest('hex')}`;
    await fetch(`http://${running.address('listen.http')}${path}`, { method: 'PUT', body: bytes });
    await fetch(`http://${running.address('listen.http')}${path}`);
    await fetch(`http://${running.address('listen.http')}/cas/${'0'.repeat(64)}`);
    const flags = ['--listen.admin', running.address('listen.admin')];
    const { exitCode, out } = await granary(['stats', ...flags]);
    expect(exitCode).toBe(0);
    expect(out).toContain(`listen.grpc             ${running.address('listen.grpc')}\n`);
    expect(out).toMatch(/granary {17}0\.1\.0 on Node \S+, pid \d+, serving for \d+s\n/);
    expect(out).toMatch(/of 64 MiB, .* free on the disk\n/);
    expect(out).toContain('1 blobs, 0 action results');
    expect(out).toContain('action results          not asked for yet\n');
    expect(out).toMatch(/blob reads {14}\d+\.\d % hits \(1 of \d\)\n/);

    const json = await granary(['stats', '--json', '--url', `http://${running.address('listen.admin')}`]);
    expect(JSON.parse(json.out)).toMatchObject({ storage: { blobs: 1 } });
  });

  it('lets nobody command the terminal', async () => {
    await using running = await startTestServer();
    const stats = { ...running.server.stats(), version: '\u001b]0;title\u0007' };
    expect(describeStats(stats)).toMatch(/^granary {17}\]0;title on Node [^\p{Cc}]+\n/u);
  });

  it('asks over TLS, and shows the certificate that the server asks for', async () => {
    const tls = {
      'tls.cert_file': certificate('server.pem'),
      'tls.key_file': certificate('server.key'),
      'tls.ca_file': certificate('ca.pem'),
      'tls.client_auth': 'require_and_verify',
    };
    await using running = await startTestServer(tls);
    const flags = Object.entries(tls).flatMap(([key, value]) => [`--${key}`, value]);
    const { exitCode, out, err } = await granary([
      'stats',
      ...flags,
      '--listen.admin',
      running.address('listen.admin'),
    ]);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    expect(out).toContain('listen.grpc');
  });

  it.each([
    [401, 'sorry', 'answered 401: sorry; set GRANARY_ADMIN_TOKEN'],
    [503, 'not now', 'answered 503: not now\n'],
    [503, '\u001b[2J\u009b31mnot\nnow', 'answered 503: [2J 31mnot now\n'],
    [200, 'no JSON', 'answered something else than statistics; is this the admin port'],
    [200, '{"storage":{}}', 'answered something else than statistics'],
    [200, 'x'.repeat(1_100_000), 'the answer is too long for statistics'],
  ])('says what a server answers instead: %s %.10s', async (status, text, message) => {
    const server = createServer((_, response) => response.writeHead(status).end(text)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { exitCode, err } = await granary(['stats', '--url', url]);
    server.close();
    expect(exitCode).toBe(1);
    expect(err).toContain(message);
  });

  it.each([
    ['the token', '', { GRANARY_ADMIN_TOKEN: 'secret-token' }, 'Bearer secret-token'],
    ['the token without the end of its line', '', { GRANARY_ADMIN_TOKEN: 'secret-token\n' }, 'Bearer secret-token'],
    [
      'what the URL says where the token is empty',
      'ann:secret@',
      { GRANARY_ADMIN_TOKEN: '' },
      `Basic ${Buffer.from('ann:secret').toString('base64')}`,
    ],
    ['what the URL says', 'ann:s%3Acret@', {}, `Basic ${Buffer.from('ann:s:cret').toString('base64')}`],
    ['nothing where there is nothing', '', {}, undefined],
  ])('brings %s along', async (_, userinfo, environment, expected) => {
    let authorization: string | undefined;
    const server = createServer((request, response) => {
      authorization = request.headers.authorization;
      response.writeHead(403).end('no');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://${userinfo}127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { err } = await granary(['stats', '--url', url], environment);
    server.close();
    expect(authorization).toBe(expected);
    expect(err).not.toContain('ret');
  });

  it('says when there is no server', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const { exitCode, err } = await granary(['stats', '--listen.admin', `127.0.0.1:${port}`]);
    expect(exitCode).toBe(1);
    expect(err).toBe(`granary: can't ask http://127.0.0.1:${port}: nobody listens there; is granary serve running?\n`);
  });
});

describe('granary verify', () => {
  const store = () => join(folder, 'store');
  const verify = (...words: string[]) => granary(['verify', '--storage.dir', store(), ...words]);

  it('finds what is damaged, removes it when asked to, and then is content', async () => {
    await mkdir(store());
    {
      await using running = await startTestServer({ 'storage.dir': store() });
      for (const size of [100, 300_000, 300_000]) {
        const bytes = randomBytes(size);
        const path = `/cas/${createHash('sha256').update(bytes).digest('hex')}`;
        const response = await fetch(`http://${running.address('listen.http')}${path}`, { method: 'PUT', body: bytes });
        expect(response.status).toBe(200);
      }
      expect(await verify()).toMatchObject({ exitCode: 1, err: expect.stringContaining('; stop that one, or ') });
    }
    expect(await verify()).toMatchObject({ exitCode: 0, out: expect.stringContaining('3 blobs and 0 action results') });
    const files = await readdir(join(store(), 'blobs'), { recursive: true, withFileTypes: true });
    const blob = files.find((entry) => entry.isFile());
    await truncate(join(blob!.parentPath, blob!.name), 10);

    const found = await verify();
    expect(found.exitCode).toBe(1);
    expect(found.out).toContain('0 removed');
    expect(found.err).toContain('granary verify --repair removes what is wrong');
    const repaired = await verify('--repair');
    expect(repaired.exitCode).toBe(0);
    expect(repaired.out).toContain('(removed)');
    expect(await verify()).toMatchObject({ exitCode: 0, out: expect.stringContaining('2 blobs') });
  });

  it('says when there is no store', async () => {
    const { exitCode, err } = await granary(['verify', '--storage.dir', join(folder, 'nothing')]);
    expect(exitCode).toBe(1);
    expect(err).toContain('holds no store');
  });
});
