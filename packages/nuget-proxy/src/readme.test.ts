import { once as event } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as blobs from '@granary/blobs';
import * as cache from '@granary/cache';
import * as nuget from '@granary/nuget';
import { buildPackage, startFeedServer } from '@granary/nuget/testing';
import { expect, it } from 'vitest';
import * as proxy from './index.js';

const MODULES: Readonly<Record<string, object>> = {
  'node:http': { createServer },
  '@granary/blobs': blobs,
  '@granary/cache': cache,
  '@granary/nuget': nuget,
  '@granary/nuget-proxy': proxy,
};

it('the README serves a feed that goes on when the one behind it is gone', async () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, example = ''] = /```js\n([\s\S]+?)```/.exec(readme) ?? [];
  const folder = mkdtempSync(join(tmpdir(), 'nuget-proxy-readme-'));
  const content = buildPackage({ id: 'Contoso.Json', version: '2.0.1' });
  const upstream = await startFeedServer({ packages: [content] });
  const body = example
    .replace(
      /^import \{([^}]+)\} from '(.+)';$/gm,
      (_, names: string, from: string) => `const {${names}} = load('${from}');`,
    )
    .replace('https://feed.example/v3/index.json', upstream.v3Url)
    .replace("'feeds'", JSON.stringify(folder))
    .replace('listen(8080,', 'listen(0,');
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
  let end = async () => {};
  const once = (_: string, listener: () => Promise<void>) => {
    end = listener;
  };
  const run = new AsyncFunction('load', 'console', 'process', `${body}\nreturn server;`);
  const server = (await run((name: string) => MODULES[name], { log() {} }, { once })) as ReturnType<
    typeof createServer
  >;
  if (!server.listening) await event(server, 'listening');
  try {
    const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}/nuget`;
    const path = '/v3/flatcontainer/contoso.json/2.0.1/contoso.json.2.0.1.nupkg';
    const index = await fetch(`${root}/v3/index.json`);
    expect(await index.text()).toContain(`${root}/v3/flatcontainer/`);
    expect(Buffer.from(await (await fetch(`${root}${path}`)).arrayBuffer())).toEqual(content);
    await upstream.close();
    const again = await fetch(`${root}/contoso${path}`);
    expect([again.status, again.headers.get('x-cache')]).toEqual([200, 'hit']);
    expect(Buffer.from(await again.arrayBuffer())).toEqual(content);
  } finally {
    await end();
    await upstream.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
