// Answers from memory with the bytes that it gets: node same-bytes.mjs PORT ORIGIN PATH…; what ORIGIN answers for each path
// is fetched first and answered from then on, with the same status, type and length.
import { createServer } from 'node:http';

const [port, origin, ...paths] = process.argv.slice(2);
const answers = new Map();
for (const path of paths) {
  const response = await fetch(origin + path, { headers: { 'accept-encoding': 'identity' } });
  const body = Buffer.from(await response.arrayBuffer());
  const type = response.headers.get('content-type');
  answers.set(path, [response.status, { 'content-type': type, 'content-length': body.length }, body]);
}
createServer((request, response) => {
  const [status, headers, body] = answers.get(request.url) ?? [404, {}, ''];
  response.writeHead(status, headers);
  response.end(body);
}).listen(Number(port), '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
