// A feed whose documents are all made before it answers: node feed.mjs PORT [DELAY_MS] [PREFIX…], with 150 packages for each
// prefix. /requests tells what was asked for since the last time.
import { createServer } from 'node:http';
import { makePackages } from './packages.mjs';

const [port, delayMs = 0] = process.argv.slice(2, 4).map(Number);
const prefixes = process.argv.length > 4 ? process.argv.slice(4) : [undefined];
const base = `http://127.0.0.1:${port}`;
const documents = new Map();
const resources = [{ '@id': `${base}/flat/`, '@type': 'PackageBaseAddress/3.0.0' }];
documents.set('/index.json', ['application/json', Buffer.from(JSON.stringify({ version: '3.0.0', resources }))]);
for (const { id, version, content } of prefixes.flatMap((prefix) => makePackages(prefix))) {
  const name = id.toLowerCase();
  documents.set(`/flat/${name}/index.json`, ['application/json', Buffer.from(JSON.stringify({ versions: [version] }))]);
  documents.set(`/flat/${name}/${version}/${name}.${version}.nupkg`, ['application/octet-stream', content]);
}

let asked = [];
const server = createServer((request, response) => {
  if (request.url === '/requests') {
    response.end(JSON.stringify(asked));
    asked = [];
    return;
  }
  asked.push(request.url);
  const [type, body] = documents.get(request.url) ?? ['text/plain', undefined];
  const answer = () => {
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': type, 'content-length': body?.length ?? 0 });
    response.end(body);
  };
  if (delayMs === 0) answer();
  else setTimeout(answer, delayMs);
});
server.listen(port, '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
