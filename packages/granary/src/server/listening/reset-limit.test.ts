import { constants } from 'node:http2';
import { expect, it } from 'vitest';
import { ResetLimit } from './reset-limit.js';

const { NGHTTP2_NO_ERROR, NGHTTP2_CANCEL } = constants;

function session() {
  let closes = 0;
  return {
    get closes() {
      return closes;
    },
    get closed() {
      return closes > 0;
    },
    close: () => void closes++,
  };
}

function call(limit: ResetLimit) {
  const stream = { rstCode: NGHTTP2_NO_ERROR, closed: false, aborted: false, push: (_: unknown) => true };
  limit.watch(stream);
  const end = (how: { rstCode?: number; aborted?: boolean }) => {
    Object.assign(stream, how, { closed: true });
    stream.push(null);
    stream.push(null);
  };
  return Object.assign(stream, { end });
}

function completed(limit: ResetLimit) {
  const stream = call(limit);
  stream.push(Buffer.alloc(5));
  stream.push(null);
  stream.end({});
}

const reset = {
  'are cancelled': (limit: ResetLimit) => {
    const stream = call(limit);
    stream.push(null);
    stream.end({ rstCode: NGHTTP2_CANCEL, aborted: true });
  },
  'are reset without an error before they are answered': (limit: ResetLimit) => {
    const stream = call(limit);
    stream.push(null);
    stream.end({ aborted: true });
  },
  'are reset without an error once they are answered': (limit: ResetLimit) => {
    const stream = call(limit);
    stream.push(Buffer.alloc(5));
    stream.end({});
  },
};

it('leaves a connection open however many calls end on it, as long as few are reset', () => {
  const connection = session();
  const limit = new ResetLimit(connection);
  for (let calls = 0; calls < 100_000; calls++) completed(limit);
  for (let calls = 0; calls < 500; calls++) reset['are cancelled'](limit);
  expect(connection.closes).toBe(0);
});

it.each(Object.entries(reset))('closes a connection once, however many calls %s after that', (_, end) => {
  const connection = session();
  const limit = new ResetLimit(connection);
  for (let calls = 0; calls < 5000; calls++) end(limit);
  expect(connection.closes).toBe(1);
});
