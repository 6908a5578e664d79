import type { TestServer } from './test-server.js';

/** What comes from below `/nuget` of a server. */
export function askFeed(running: TestServer, path: string, init?: RequestInit): Promise<Response> {
  return fetch(`http://${running.address('listen.http')}/nuget${path}`, init);
}

/** Status and `X-Cache` of an answer that is read to its end. */
export async function outcomeOf(answer: Promise<Response>): Promise<readonly [status: number, cache: string | null]> {
  const response = await answer;
  await response.arrayBuffer();
  return [response.status, response.headers.get('x-cache')];
}

/** Where a package lies in a feed's folder. */
export function packagePath(id: string, version: string, feed = ''): string {
  const lower = id.toLowerCase();
  return `${feed}/v3/flatcontainer/${lower}/${version}/${lower}.${version}.nupkg`;
}

/** Pushes a package as NuGet's clients do. */
export function pushTo(
  running: TestServer,
  content: Buffer,
  headers: Record<string, string> = {},
  feed = '',
): Promise<Response> {
  const body = new FormData();
  body.append('package', new Blob([Uint8Array.from(content)]), 'package.nupkg');
  return askFeed(running, `${feed}/v3/package`, { method: 'PUT', body, headers });
}
