import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { collectorContract, parseExposition } from '@granary/telemetry/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LineCollector } from './own-collector.mjs';

const source = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
/** Lines without comments and those that are empty. */
const linesOfCode = (name) =>
  source(name)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('//'));

describe('a chain with /metrics', () => {
  let example;
  let url;
  beforeAll(async () => {
    vi.stubEnv('PORT', '0');
    example = await import('./server.mjs');
    if (!example.server.listening) await once(example.server, 'listening');
    url = `http://127.0.0.1:${example.server.address().port}`;
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    example.server.close();
    example.server.closeAllConnections();
    await example.chain.close();
    example.registry.close();
  });

  it('is 20 lines', () => {
    expect(linesOfCode('server.mjs').length).toBeLessThanOrEqual(20);
  });

  it('counts what it is asked for', async () => {
    const first = await (await fetch(`${url}/users/7`)).text();
    expect(first).toMatch(/^loaded \/users\/7 at /);
    for (let i = 0; i < 2; i++) expect(await (await fetch(`${url}/users/7`)).text()).toBe(first);
    const accept = 'application/openmetrics-text;version=1.0.0';
    const scrape = await fetch(`${url}/metrics`, { headers: { accept } });
    expect(scrape.headers.get('content-type')).toMatch(/^application\/openmetrics-text; version=1\.0\.0/);
    const samples = parseExposition(await scrape.text(), 'openmetrics').flatMap((family) => family.samples);
    const value = (name, labels) =>
      samples.find((sample) => sample.name === name && Object.entries(labels).every(([k, v]) => sample.labels[k] === v))
        ?.value;
    expect(value('shop_hits_total', { layer: 'L1' })).toBe(2);
    expect(value('shop_misses_total', { layer: 'L2' })).toBe(1);
    expect(value('shop_chain_gets_total', { result: 'hit', layer: '0' })).toBe(2);
    expect(value('shop_process_resident_memory_bytes', {})).toBeGreaterThan(0);
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(parseExposition(text, 'text').map(({ name }) => name)).toContain('shop_hits_total');
  });
});

describe("a collector of one's own", () => {
  it('is ten lines, and the same in the README', () => {
    const [, ...code] = source('own-collector.mjs').split('\n');
    const body = linesOfCode('own-collector.mjs').filter((line) => line.startsWith('  '));
    expect(body.length).toBeLessThanOrEqual(10);
    expect(source('../../packages/telemetry/README.md')).toContain(code.join('\n').trim());
  });
});

collectorContract(
  "A collector of one's own",
  () => {
    const collector = new LineCollector();
    return { collector, told: async () => toldBy(collector.lines) };
  },
  { describe, it, expect },
);

/** What the lines say, summed up. */
function toldBy(lines) {
  const series = new Map();
  for (const line of lines) {
    const [, name, sign, number, unit, labels] = /^(\S+) (\+|= )?(\S+)(?: (seconds))? (\{.*\})$/.exec(line);
    const key = `${name}${labels}`;
    const known = series.get(key) ?? { name, labels: JSON.parse(labels), value: 0, ...(unit && { unit, count: 0 }) };
    known.value = sign === '= ' ? Number(number) : known.value + Number(number);
    if (unit) known.count++;
    series.set(key, known);
  }
  return [...series.values()];
}
