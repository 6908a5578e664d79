// A server of static files as people write it: node static-files.mjs PORT FOLDER. It looks each file up and streams it.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';
import { pipeline } from 'node:stream/promises';

const [port, folder] = process.argv.slice(2);
createServer(async (request, response) => {
  const path = join(folder, normalize(request.url));
  try {
    const { size, mtime } = await stat(path);
    const type = path.endsWith('.json') ? 'application/json' : 'application/octet-stream';
    const headers = { 'content-type': type, 'content-length': size, 'last-modified': mtime.toUTCString() };
    response.writeHead(200, { ...headers, etag: `"${size}-${mtime.getTime()}"` });
    await pipeline(createReadStream(path), response);
  } catch {
    if (!response.headersSent) response.writeHead(404);
    response.end();
  }
}).listen(Number(port), '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
