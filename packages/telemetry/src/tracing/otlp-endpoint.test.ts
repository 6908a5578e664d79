import { describe, expect, it } from 'vitest';
import { isPortKnownToGrpc, parseOtlpEndpoint, tracesUrl } from './otlp-endpoint.js';

describe('the endpoint of a collector', () => {
  it.each([
    ['collector:4317', 'http://collector:4317/'],
    [' 127.0.0.1:4317 ', 'http://127.0.0.1:4317/'],
    ['[::1]:4317', 'http://[::1]:4317/'],
    ['otel_collector.ns.svc:4317', 'http://otel_collector.ns.svc:4317/'],
    ['http://collector', 'http://collector/'],
    ['HTTPS://collector:4317', 'https://collector:4317/'],
    ['https://collector/otlp', 'https://collector/otlp'],
  ])('is read from %s', (text, href) => expect(parseOtlpEndpoint(text)?.href).toBe(href));

  it.each([
    '',
    'collector',
    ':4317',
    'collector:port',
    'collector:99999',
    'collector:4317/path',
    '::1:4317',
    'grpc://collector:4317',
    'unix:///run/collector.sock',
    'http://',
    'http://ann:secret@collector:4317',
    'http://ann@collector:4317',
    'ann:secret@collector:4317',
    'http://collector:4317?token=secret',
    'http://collector:4317#part',
  ])('is not "%s"', (text) => expect(parseOtlpEndpoint(text)).toBeUndefined());

  it.each([
    ['collector:4318', 'http://collector:4318/v1/traces'],
    ['http://collector:4318/', 'http://collector:4318/v1/traces'],
    ['https://collector/otlp/', 'https://collector/otlp/v1/traces'],
    ['https://collector/otlp/v1/traces', 'https://collector/otlp/v1/traces'],
  ])('%s takes traces by HTTP at %s', (text, url) => expect(tracesUrl(parseOtlpEndpoint(text)!)).toBe(url));

  it.each([
    ['collector:4317', true],
    ['collector:443', true],
    ['https://collector', true],
    ['https://collector:443', true],
    ['https://collector:80', true],
    ['http://collector', false],
    ['collector:80', false],
    ['http://[::1]:80', false],
  ])('%s: gRPC reaches its port: %s', (text, known) => expect(isPortKnownToGrpc(parseOtlpEndpoint(text)!)).toBe(known));
});
