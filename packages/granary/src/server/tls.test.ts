import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError } from '../config/mistake.js';
import { call, GRPC_CALLS, grpcClient } from '../testing/grpc-calls.js';
import { certificate, startTestServer, type TestServer, temporaryFolder } from '../testing/test-server.js';

const pem = (name: string) => readFile(certificate(name));
const SERVER = { 'tls.cert_file': certificate('server.pem'), 'tls.key_file': certificate('server.key') };

type Shown = 'none' | 'client' | 'stranger';

async function shown(who: Shown): Promise<{ cert?: Buffer; key?: Buffer }> {
  return who === 'none' ? {} : { cert: await pem(`${who}.pem`), key: await pem(`${who}.key`) };
}

async function httpsStatus(address: string, who: Shown, path = '/status'): Promise<number | 'refused'> {
  const options = { ca: await pem('ca.pem'), agent: false, servername: 'localhost', ...(await shown(who)) };
  return new Promise((resolve) => {
    request(`https://${address}${path}`, options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', () => resolve('refused'))
      .end();
  });
}

/** The servers of the tests have addresses, which TLS takes for no names: their certificate's is asked for instead. */
function secureClient(address: string, ca: Buffer, key?: Buffer, cert?: Buffer) {
  const channel = credentials.createSsl(ca, key ?? null, cert ?? null);
  return grpcClient(address, channel, { 'grpc.ssl_target_name_override': 'localhost' });
}

async function grpcCode(address: string, who: Shown, path: string = GRPC_CALLS.write): Promise<string> {
  const { cert, key } = await shown(who);
  const client = secureClient(address, await pem('ca.pem'), key, cert);
  const { code } = await call(client, path);
  client.close();
  return code;
}

/** The common name of the certificate that a listener shows to a new connection. */
function serverName(address: string): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const options: ConnectionOptions = {
      host: host as string,
      port: Number(port),
      rejectUnauthorized: false,
      ALPNProtocols: ['h2', 'http/1.1'],
    };
    const socket: TLSSocket = connect(options, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    }).on('error', reject);
  });
}

describe('TLS', () => {
  // Who is let in, by how client certificates are asked for.
  it.each([
    { mode: 'none', in: ['none', 'client', 'stranger'] },
    { mode: 'request', in: ['none', 'client', 'stranger'] },
    { mode: 'require', in: ['client', 'stranger'] },
    { mode: 'verify_if_given', in: ['none', 'client'] },
    { mode: 'require_and_verify', in: ['client'] },
  ])('with client_auth $mode lets in $in on every port', async ({ mode, in: letIn }) => {
    await using running = await startTestServer({
      ...SERVER,
      'tls.client_auth': mode,
      ...(mode !== 'none' && { 'tls.ca_file': certificate('ca.pem') }),
      'auth.anonymous': 'write',
    });
    for (const who of ['none', 'client', 'stranger'] as const) {
      const expected = letIn.includes(who);
      expect(await httpsStatus(running.address('listen.http'), who), `http ${who}`).toBe(expected ? 200 : 'refused');
      expect(await httpsStatus(running.address('listen.admin'), who, '/stats')).toBe(expected ? 200 : 'refused');
      const code = await grpcCode(running.address('listen.grpc'), who);
      expect(code === 'OK', `grpc ${who}: ${code}`).toBe(expected);
    }
  });

  it('knows clients by verified certificates alone', async () => {
    await using running = await startTestServer({
      ...SERVER,
      'tls.client_auth': 'request',
      'tls.ca_file': certificate('ca.pem'),
      'auth.rights': { 'O=Example,CN=ci': 'read' },
    });
    const http = running.address('listen.http');
    expect(await Promise.all((['none', 'client', 'stranger'] as const).map((who) => httpsStatus(http, who)))).toEqual([
      401, 200, 401,
    ]);
    const grpc = running.address('listen.grpc');
    expect(await grpcCode(grpc, 'none')).toBe('UNAUTHENTICATED');
    expect(await grpcCode(grpc, 'client', GRPC_CALLS.read)).toBe('OK');
    expect(await grpcCode(grpc, 'client')).toBe('PERMISSION_DENIED');
    expect(await grpcCode(grpc, 'stranger')).toBe('UNAUTHENTICATED');
    expect(await grpcCode(grpc, 'stranger', GRPC_CALLS.health)).toBe('OK');
  });

  it('speaks no plain text, and nothing below TLS 1.2', async () => {
    await using running = await startTestServer(SERVER);
    await expect(fetch(`http://${running.address('listen.http')}/status`)).rejects.toThrow();
    const [host, port] = running.address('listen.grpc').split(':') as [string, string];
    const old = await new Promise<string>((resolve) => {
      const socket = connect({ host, port: Number(port), maxVersion: 'TLSv1.1', rejectUnauthorized: false });
      socket.on('secureConnect', () => resolve('connected')).on('error', () => resolve('refused'));
    });
    expect(old).toBe('refused');
    expect(await grpcCode(running.address('listen.grpc'), 'none')).toBe('OK');
  });

  it('ends connections that never finish their handshake', async () => {
    await using running = await startTestServer({ ...SERVER, 'limits.header_timeout': '50ms' });
    const socket = openSocket(running.address('listen.grpc'));
    await once(socket, 'close');
  });

  it('does not wait for them when it is stopped', async () => {
    const running = await startTestServer(SERVER);
    const socket = openSocket(running.address('listen.grpc'));
    await once(socket, 'connect');
    // Connections are accepted in their order, so the server has the first when it answers the second.
    expect(await grpcCode(running.address('listen.grpc'), 'none')).toBe('OK');
    const closed = once(socket, 'close');
    expect(await running.server.stop(20_000)).toBe(true);
    await closed;
    await running[Symbol.asyncDispose]();
  });
});

function openSocket(address: string): Socket {
  const [host, port] = address.split(':') as [string, string];
  return createConnection(Number(port), host)
    .on('error', () => {})
    .resume();
}

describe('reading the files again', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await temporaryFolder();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const file = (name: string) => join(folder, name);
  const install = async (name: string) => {
    await copyFile(certificate(`${name}.pem`), file('cert.pem'));
    await copyFile(certificate(`${name}.key`), file('key.pem'));
  };
  const ports = ['listen.grpc', 'listen.http', 'listen.admin'] as const;
  const names = (running: TestServer) => Promise.all(ports.map((port) => serverName(running.address(port))));

  it('shows new certificates to new connections, and keeps the open ones', async () => {
    await install('server');
    await using running = await startTestServer({ 'tls.cert_file': file('cert.pem'), 'tls.key_file': file('key.pem') });
    const client = secureClient(running.address('listen.grpc'), await pem('ca.pem'));
    expect((await call(client, GRPC_CALLS.write)).code).toBe('OK');
    const peers = new Set<string>();
    const [host, port] = running.address('listen.http').split(':') as [string, string];
    const opened = connect({ host, port: Number(port), ca: await pem('ca.pem') });
    await new Promise((resolve) => opened.once('secureConnect', resolve));

    await install('server2');
    await running.server.reload();
    expect(await names(running)).toEqual(['server two', 'server two', 'server two']);
    expect((await call(client, GRPC_CALLS.write)).code).toBe('OK');
    expect(client.getChannel().getConnectivityState(false)).toBe(2);
    peers.add(String(opened.getPeerCertificate().subject.CN));
    opened.write('GET /status HTTP/1.1\r\nHost: x\r\n\r\n');
    const answer = await new Promise<string>((resolve) => opened.once('data', (data) => resolve(String(data))));
    expect(answer).toContain('200 OK');
    expect([...peers]).toEqual(['server one']);
    opened.destroy();
    client.close();
  });

  it('keeps what it has when the new files are wrong', async () => {
    await install('server');
    const { hashSync } = await import('@node-rs/bcrypt');
    await writeFile(file('users'), `ann:${hashSync('a', { cost: 4 })}\n`);
    await using running = await startTestServer({
      'tls.cert_file': file('cert.pem'),
      'tls.key_file': file('key.pem'),
      'auth.htpasswd_file': file('users'),
    });
    const login = async (user: string) => {
      const client = secureClient(running.address('listen.grpc'), await pem('ca.pem'));
      const authorization = `Basic ${Buffer.from(`${user}:a`).toString('base64')}`;
      const { code } = await call(client, GRPC_CALLS.write, { authorization });
      client.close();
      return code;
    };
    expect(await login('ann')).toBe('OK');

    await copyFile(certificate('server2.key'), file('key.pem'));
    await writeFile(file('users'), `bob:${hashSync('a', { cost: 4 })}\n`);
    await expect(running.server.reload()).rejects.toThrow(ConfigError);
    expect(await names(running)).toEqual(['server one', 'server one', 'server one']);
    expect(await login('ann')).toBe('OK');
    expect(await login('bob')).toBe('UNAUTHENTICATED');

    await install('server2');
    await running.server.reload();
    expect(await names(running)).toEqual(['server two', 'server two', 'server two']);
    expect(await login('bob')).toBe('OK');
    expect(await login('ann')).toBe('UNAUTHENTICATED');
  });

  it('goes on to trust the authorities that it has when the file of the new ones is cut off', async () => {
    await copyFile(certificate('ca.pem'), file('ca.pem'));
    await using running = await startTestServer({
      ...SERVER,
      'tls.ca_file': file('ca.pem'),
      'tls.client_auth': 'require_and_verify',
    });
    const whole = await pem('ca.pem');
    await writeFile(file('ca.pem'), whole.subarray(0, whole.length / 2));
    await expect(running.server.reload()).rejects.toThrow(ConfigError);
    expect(await httpsStatus(running.address('listen.admin'), 'client', '/stats')).toBe(200);
  });

  it('goes by what it was asked last to read, however long the one before takes', async () => {
    await writeFile(file('tokens'), `ann:${'a'.repeat(16)}\n`);
    await using running = await startTestServer({ 'auth.tokens_file': file('tokens') });
    const login = async (letter: string) => {
      const headers = { Authorization: `Bearer ${letter.repeat(16)}` };
      return (await fetch(`http://${running.address('listen.http')}/status`, { headers })).status;
    };
    expect(await login('a')).toBe(200);

    // Who reads a pipe waits until somebody has written to it.
    await rm(file('tokens'));
    execFileSync('mkfifo', [file('tokens')]);
    const slow = running.server.reload();
    const pipe = await open(file('tokens'), 'w');
    await writeFile(file('new tokens'), `bob:${'b'.repeat(16)}\n`);
    await rename(file('new tokens'), file('tokens'));
    const last = running.server.reload();
    // Time enough for it to overtake the other, if it could.
    await Promise.race([last, Promise.all([login('a'), login('a'), login('a')])]);
    await pipe.write(`ann:${'a'.repeat(16)}\n`);
    await pipe.close();
    await Promise.all([slow, last]);
    expect([await login('a'), await login('b')]).toEqual([401, 200]);
  });
});

describe('wrong TLS files', () => {
  const mistakes = (values: Record<string, string>) =>
    startTestServer(values).then(
      () => [],
      (error: ConfigError) => error.mistakes.map(({ key, message }) => `${key} ${message}`),
    );

  it.each([
    [{ ...SERVER, 'tls.cert_file': '/nowhere' }, "tls.cert_file can't be read"],
    [{ ...SERVER, 'tls.cert_file': certificate('make.sh') }, "tls.cert_file can't be used"],
    [{ ...SERVER, 'tls.key_file': certificate('client.key') }, "tls.key_file can't be used"],
    [{ ...SERVER, 'tls.ca_file': certificate('make.sh') }, 'tls.ca_file holds no certificate in PEM'],
  ])('%j', async (values, expected) => {
    const found = await mistakes(values);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });
});
