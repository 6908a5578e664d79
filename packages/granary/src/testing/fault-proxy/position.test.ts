import { describe, expect, it } from 'vitest';
import type { Direction, Point } from './fault.js';
import { type Conversation, positionsIn } from './position.js';

const HEAD = 'HEAD /cas/a HTTP/1.1\r\nhost: x\r\n\r\n';
const PUT = 'PUT /cas/a HTTP/1.1\r\nContent-Length: 10\r\n\r\n';
const GET = 'GET /cas/a HTTP/1.1\r\nhost: x\r\n\r\n';
const NOTHING = 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n';
const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';

type Pieces = readonly (readonly [Direction, string])[];

/** What of the texts comes before the point: in which direction, and how much of that in pieces of so many bytes. */
function before(conversation: Conversation, direction: Direction, point: Point, all: Pieces, size: number) {
  const positions = positionsIn(conversation);
  let passed = '';
  for (const [way, text] of all) {
    for (let at = 0; at < text.length; at += size) {
      const piece = text.slice(at, at + size);
      const found = positions[way].advance(Buffer.from(piece, 'latin1'), way === direction ? point : undefined);
      if (found >= 0) return passed + piece.slice(0, found);
      if (way === direction) passed += piece;
    }
  }
  return undefined;
}

const EXCHANGES: Pieces = [
  ['up', HEAD],
  ['down', NOTHING],
  ['up', `${PUT}0123456789`],
  ['down', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['up', GET],
  ['down', `${CHUNKED}4\r\nabcd\r\n6\r\nefghij\r\n0\r\n\r\n`],
  ['up', GET],
  ['down', `${NOTHING}klmnopqrst`],
];

describe.each([1, 7, 1000])('a point in HTTP/1.1, in pieces of %i bytes', (size) => {
  it.each<[Direction, Point, string]>([
    ['up', { at: 'data', bytes: 4 }, `${HEAD}${PUT}0123`],
    ['up', { at: 'end', method: 'PUT' }, `${HEAD}${PUT}012345678`],
    ['up', { at: 'end', skip: 3 }, `${HEAD}${PUT}0123456789${GET}${GET.slice(0, -1)}`],
    ['down', { at: 'end' }, NOTHING.slice(0, -1)],
    ['down', { at: 'end', method: 'PUT' }, `${NOTHING}HTTP/1.1 204 No Content\r\n\r`],
    ['down', { at: 'data', bytes: 6 }, `${NOTHING}HTTP/1.1 204 No Content\r\n\r\n${CHUNKED}4\r\nabcd\r\n6\r\nef`],
    [
      'down',
      { at: 'end', method: 'GET' },
      `${NOTHING}HTTP/1.1 204 No Content\r\n\r\n${CHUNKED}4\r\nabcd\r\n6\r\nefghij\r\n0\r\n\r`,
    ],
    [
      'down',
      { at: 'data', bytes: 19 },
      `${NOTHING}HTTP/1.1 204 No Content\r\n\r\n${CHUNKED}4\r\nabcd\r\n6\r\nefghij\r\n0\r\n\r\n${NOTHING}klmnopqrs`,
    ],
  ])('%s: %o', (direction, point, passed) => {
    expect(before('http1', direction, point, EXCHANGES, size)).toBe(passed);
  });

  it('is at the beginning of a message', () => {
    const passed = before('http1', 'down', { at: 'head', skip: 2 }, EXCHANGES, size) ?? '';
    const begun = passed.slice(`${NOTHING}HTTP/1.1 204 No Content\r\n\r\n`.length);
    expect(CHUNKED.startsWith(begun) && begun.length < CHUNKED.length).toBe(true);
  });
});

const COMMANDS: Pieces = [
  ['up', '*2\r\n$6\r\nstrlen\r\n$1\r\na\r\n*2\r\n$3\r\nget\r\n$1\r\nb\r\n'],
  ['down', ':2000\r\n$-1\r\n$4\r\n1\r\n2\r\n*2\r\n+OK\r\n*1\r\n$0\r\n\r\n-ERR x\r\n'],
];

describe.each([1, 3, 1000])('a point in the protocol of Redis, in pieces of %i bytes', (size) => {
  it.each<[Direction, Point, string]>([
    ['up', { at: 'data', bytes: 7 }, '*2\r\n$6\r\nstrlen\r\n$1\r\na\r\n*2\r\n$3\r\n'],
    ['up', { at: 'end', skip: 1 }, COMMANDS[0]?.[1].slice(0, -1) ?? ''],
    ['down', { at: 'end' }, ':2000\r'],
    ['down', { at: 'end', skip: 1 }, ':2000\r\n$-1\r'],
    ['down', { at: 'end', skip: 2 }, ':2000\r\n$-1\r\n$4\r\n1\r\n2\r'],
    ['down', { at: 'end', skip: 3 }, ':2000\r\n$-1\r\n$4\r\n1\r\n2\r\n*2\r\n+OK\r\n*1\r\n$0\r\n\r'],
    ['down', { at: 'end', skip: 4 }, COMMANDS[1]?.[1].slice(0, -1) ?? ''],
  ])('%s: %o', (direction, point, passed) => {
    expect(before('resp', direction, point, COMMANDS, size)).toBe(passed);
  });
});
