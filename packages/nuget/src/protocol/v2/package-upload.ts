import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Feed } from '../feed.js';
import type { PushedPackage, PushOptions } from '../provider.js';

const DEFAULT_TIMEOUT_MS = 5 * 60 * 1000;

/** Uploads a package as the only file of a form, as NuGet does; it is read anew for each attempt, and never held. */
export function sendPackage(feed: Feed, url: string, pkg: PushedPackage, options: PushOptions): Promise<number> {
  const { apiKey, timeoutMs = DEFAULT_TIMEOUT_MS, symbols: _, ...call } = options;
  const boundary = randomBytes(16).toString('hex');
  const head = Buffer.from(
    `--${boundary}\r\nContent-Type: application/octet-stream\r\n` +
      'Content-Disposition: form-data; name=package; filename=package.nupkg\r\n\r\n',
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const headers: Record<string, string> = {
    'content-type': `multipart/form-data; boundary="${boundary}"`,
    'content-length': String(head.length + pkg.size + tail.length),
  };
  if (apiKey !== undefined) headers['x-nuget-apikey'] = apiKey;
  const body = () => Readable.from(form(head, pkg.open, tail), { objectMode: false });
  return feed.send(url, { ...call, method: 'PUT', headers, body, timeoutMs });
}

async function* form(head: Buffer, open: () => Readable, tail: Buffer): AsyncGenerator<Buffer> {
  yield head;
  yield* open();
  yield tail;
}
