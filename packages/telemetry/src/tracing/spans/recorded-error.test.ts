import { runInNewContext } from 'node:vm';
import { expect, it, vi } from 'vitest';
import { tellError } from './recorded-error.js';

it('tells a span of errors of another realm, as Node’s own are in the contexts of jest, by their codes and messages', () => {
  const span = { addEvent: vi.fn(), setAttribute: vi.fn(), setStatus: vi.fn() };
  tellError(span, runInNewContext("Object.assign(new Error('no such file'), { code: 'ENOENT' })"));
  expect(span.setAttribute).toHaveBeenCalledWith('error.type', 'ENOENT');
  expect(span.setStatus).toHaveBeenCalledWith('error', 'no such file');
  expect(span.addEvent).toHaveBeenCalledWith('exception', {
    'exception.type': 'Error',
    'exception.message': 'no such file',
  });
});
