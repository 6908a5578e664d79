// One read, with the times of its first byte and of its end in ms.
import { constants } from 'node:http2';
import { read } from '../requests.mjs';

export function timedRead(session, blob) {
  const { path, frames } = read(blob);
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: path,
      [constants.HTTP2_HEADER_TE]: 'trailers',
      [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    });
    let firstMs;
    let bytes = 0;
    let status;
    const look = (headers) => {
      status ??= headers['grpc-status'];
    };
    stream.on('response', look).on('trailers', look).on('error', reject);
    stream.on('data', (chunk) => {
      firstMs ??= performance.now() - begun;
      bytes += chunk.length;
    });
    stream.on('close', () => {
      if (Number(status) === 0 && bytes > blob.sizeBytes) resolve({ firstMs, totalMs: performance.now() - begun });
      else reject(new Error(`${path} ended with grpc-status ${status} after ${bytes} bytes`));
    });
    for (const each of frames) stream.write(each);
    stream.end();
  });
}
