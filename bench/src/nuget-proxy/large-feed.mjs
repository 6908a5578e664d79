// A feed of packages of any size: node large-feed.mjs PORT. It has every id Large.N and Small.N in version 1.0.0, of 20 MiB
// and 1 MiB, each with a nuspec and one stored file of random bytes, made when it is asked for.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { crc32 } from 'node:zlib';
import { buildNuspec, writeZip } from '@granary/nuget/testing';

const MIB = 2 ** 20;
const port = Number(process.argv[2]);
const base = `http://127.0.0.1:${port}`;
const payloads = { large: payload(20 * MIB), small: payload(MIB) };
const index = { version: '3.0.0', resources: [{ '@id': `${base}/flat/`, '@type': 'PackageBaseAddress/3.0.0' }] };

createServer((request, response) => {
  const [, kind, file] = /^\/flat\/(large|small)\.\d+\/(.+)$/.exec(request.url) ?? [];
  const id = request.url.split('/')[2];
  if (request.url === '/index.json') answer(response, 'application/json', JSON.stringify(index));
  else if (file === 'index.json') answer(response, 'application/json', '{"versions":["1.0.0"]}');
  else if (kind !== undefined) answer(response, 'application/octet-stream', packageOf(id, payloads[kind]));
  else response.writeHead(404).end();
}).listen(port, '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));

function payload(bytes) {
  const data = randomBytes(bytes);
  return { data, crc32: crc32?.(data) };
}

function packageOf(id, { data, crc32: sum }) {
  return writeZip([
    { name: `${id}.nuspec`, data: buildNuspec({ id, version: '1.0.0' }) },
    { name: 'lib/net8.0/data.bin', data, method: 'store', crc32: sum },
  ]);
}

function answer(response, type, body) {
  response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
