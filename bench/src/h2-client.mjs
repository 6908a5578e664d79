// A gRPC client that does nothing but frames: it loads a server without becoming the bottleneck itself, as a full
// client library would, and it looks at every call's grpc-status, which general HTTP/2 load tools do not.
import { connect, constants } from 'node:http2';

const WINDOW = 8 * 1024 * 1024;
/** In MB. Node resets a stream whose answer comes while more than this is buffered, and its own 10 are few for uploads. */
const SESSION_MEMORY = 1024;

/** @returns {Promise<import('node:http2').ClientHttp2Session>} */
export async function openSession(port) {
  const session = connect(`http://127.0.0.1:${port}`, {
    maxSessionMemory: SESSION_MEMORY,
    settings: { initialWindowSize: WINDOW },
  });
  await new Promise((resolve, reject) => {
    session.once('connect', resolve);
    session.once('error', reject);
  });
  session.setLocalWindowSize(WINDOW);
  return session;
}

/** Puts gRPC's five-byte prefix before a message. */
export function frame(message) {
  const framed = Buffer.allocUnsafe(message.length + 5);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, 5);
  return framed;
}

/**
 * One call. Sends the frames, counts the bytes that come back, and rejects unless the call ends with status 0.
 *
 * @param {import('node:http2').ClientHttp2Session} session
 * @param {string} path
 * @param {Iterable<Buffer>} frames
 * @param {{ keep?: boolean, headers?: object }} [options] keep: answer with the bytes, not just their number
 * @returns {Promise<{ bytes: number, body?: Buffer }>}
 */
export function call(session, path, frames, { keep = false, headers } = {}) {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: path,
      [constants.HTTP2_HEADER_TE]: 'trailers',
      [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
      ...headers,
    });
    let bytes = 0;
    let status;
    let message;
    const chunks = [];
    stream.on('response', (headers) => {
      status ??= headers['grpc-status'];
      message ??= headers['grpc-message'];
    });
    stream.on('trailers', (headers) => {
      status ??= headers['grpc-status'];
      message ??= headers['grpc-message'];
    });
    stream.on('data', (chunk) => {
      bytes += chunk.length;
      if (keep) chunks.push(chunk);
    });
    stream.on('error', reject);
    stream.on('close', () => {
      if (Number(status) !== 0) reject(new Error(`${path} ended with grpc-status ${status}: ${message}`));
      else resolve(keep ? { bytes, body: Buffer.concat(chunks) } : { bytes });
    });
    send(stream, frames).catch(reject);
  });
}

async function send(stream, frames) {
  for (const each of frames) {
    if (stream.destroyed || stream.closed) return;
    if (!stream.write(each)) {
      await new Promise((resolve) => {
        const done = () => {
          stream.off('drain', done);
          stream.off('close', done);
          resolve(undefined);
        };
        stream.on('drain', done);
        stream.on('close', done);
      });
    }
  }
  if (!stream.destroyed) stream.end();
}
