// Whether the server in this container answers, with what the image has: exit code 0 or 1. Plain first, then TLS, since
// only the server's configuration knows which; whose certificate it is doesn't matter to somebody in the same container.
import { get } from 'node:http';
import { get as getSecurely } from 'node:https';

const TIMEOUT_MS = 2000;

const address = process.env.GRANARY_LISTEN_ADMIN ?? '127.0.0.1:9090';
const port = Number(address.slice(address.lastIndexOf(':') + 1));
if (!Number.isInteger(port) || port < 1) fail(`GRANARY_LISTEN_ADMIN is ${address}, which has no port to ask`);

const failures = [];
for (const ask of [get, getSecurely]) {
  const failure = await failureOf(ask);
  if (failure === undefined) process.exit(0);
  failures.push(failure);
}
fail(failures.join('; '));

/** Undefined when the server answers that it is well. */
function failureOf(ask) {
  return new Promise((resolve) => {
    const options = { host: loopback(), port, path: '/healthz', timeout: TIMEOUT_MS, rejectUnauthorized: false };
    const request = ask(options, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? undefined : `/healthz answered ${response.statusCode}`);
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    request.on('error', (error) => resolve(error.message));
  });
}

/** An address that stands for all of them is reached by loopback; any other only by itself. */
function loopback() {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  if (host === '' || host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
