// Passes on what a feed answers, and keeps nothing: node pass-through.mjs PORT FEED_PORT. What any proxy takes at least.
import { Agent, createServer, request } from 'node:http';

const [port, feedPort] = process.argv.slice(2).map(Number);
const agent = new Agent({ keepAlive: true });

createServer((asked, response) => {
  const sent = request({ host: '127.0.0.1', port: feedPort, path: asked.url, agent }, async (answer) => {
    const { 'content-type': type, 'content-length': length } = answer.headers;
    if (asked.url !== '/index.json') {
      response.writeHead(answer.statusCode, { 'content-type': type, 'content-length': length });
      answer.pipe(response);
      return;
    }
    // The only document with URLs in it.
    const text = (await answer.setEncoding('utf8').toArray()).join('').replaceAll(`:${feedPort}/`, `:${port}/`);
    response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text);
  });
  sent.on('error', () => response.destroy());
  sent.end();
}).listen(port, '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
