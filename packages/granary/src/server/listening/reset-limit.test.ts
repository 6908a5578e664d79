import { constants } from 'node:http2';
import { expect, it } from 'vitest';
import { ResetLimit } from './reset-limit.js';

const cancelled = { rstCode: constants.NGHTTP2_CANCEL };
const done = { rstCode: constants.NGHTTP2_NO_ERROR };

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

it('leaves a connection open however many calls end on it, as long as few are cancelled', () => {
  const connection = session();
  const limit = new ResetLimit(connection);
  for (let calls = 0; calls < 100_000; calls++) limit.ended(done);
  for (let calls = 0; calls < 500; calls++) limit.ended(cancelled);
  expect(connection.closes).toBe(0);
});

it('closes a connection once, however many calls are cancelled after that', () => {
  const connection = session();
  const limit = new ResetLimit(connection);
  for (let calls = 0; calls < 5000; calls++) limit.ended(cancelled);
  expect(connection.closes).toBe(1);
});
