import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { hasForeignName, isChangeByPage } from './foreign-page.js';

const here = { remoteAddress: '127.0.0.1', localAddress: '127.0.0.1' } as Socket;
const elsewhere = { remoteAddress: '192.0.2.7', localAddress: '192.0.2.1' } as Socket;

describe('the name by which a request knows the server', () => {
  it.each([
    ['rebound.example', true],
    ['rebound.example:9090', true],
    ['localhost.example:9090', true],
    ['notlocalhost:9090', true],
    ['granary.localhost:9090', false],
    ['Build-Host:9090', false],
    ['build-host', false],
    ['[::1]', false],
    ['192.0.2.1:9090', false],
  ])('%s is foreign on this machine: %s', (host, isForeign) => {
    expect(hasForeignName({ host }, here, 'Build-Host')).toBe(isForeign);
  });

  it('is whatever the network calls it for those who come from elsewhere', () => {
    expect(hasForeignName({ host: 'granary.example' }, elsewhere)).toBe(false);
  });
});

describe('what a page in a browser asks for', () => {
  it.each(['PUT', 'POST', 'DELETE', 'OPTIONS'])('may change something by %s', (method) => {
    expect(isChangeByPage({ method, headers: { origin: 'http://localhost' } } as IncomingMessage)).toBe(true);
    expect(isChangeByPage({ method, headers: {} } as IncomingMessage)).toBe(false);
  });

  it.each(['GET', 'HEAD'])('changes nothing by %s', (method) => {
    expect(isChangeByPage({ method, headers: { origin: 'http://localhost' } } as IncomingMessage)).toBe(false);
  });
});
