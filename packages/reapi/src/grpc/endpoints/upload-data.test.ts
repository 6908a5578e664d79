import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import type { ServerReadableStream } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeWriteRequest } from '../../wire/index.js';
import { IncomingMessages } from '../calls/incoming-messages.js';
import { UploadData } from './upload-data.js';

const KIB = 1024;

/** The messages of an upload as gRPC hands them out, and how many of their bytes it has handed out. */
function uploadOf(sizes: readonly number[]): { messages: IncomingMessages; content: Buffer } {
  const content = Buffer.alloc(sizes.reduce((sum, size) => sum + size, 0));
  for (let at = 0; at < content.length; at++) content[at] = at ^ (at >>> 8);
  let offset = 0;
  const encoded = sizes.map((size, at) => {
    const data = content.subarray(offset, offset + size);
    const request = {
      resourceName: Buffer.from('up'),
      writeOffset: offset,
      finishWrite: at === sizes.length - 1,
      data,
    };
    offset += size;
    return encodeWriteRequest(request);
  });
  const call = Object.assign(Readable.from(encoded), { cancelled: false });
  const limits = { streamIdleMs: 60_000, maxMessageBytes: 1024 * KIB };
  return { messages: new IncomingMessages(call as unknown as ServerReadableStream<Buffer, Buffer>, limits), content };
}

/** Takes all of an upload; before each chunk the client has as many turns as it is told, again and again. */
async function taken(messages: IncomingMessages, turns: readonly number[]): Promise<Buffer> {
  const data = await UploadData.begin(messages);
  const chunks: Buffer[] = [];
  for (let at = 0; ; at++) {
    for (let i = turns[at % turns.length] as number; i > 0; i--) await turn();
    const { done, value } = await data.next();
    if (done) return Buffer.concat(chunks);
    // Its memory is used again.
    chunks.push(Buffer.from(value));
  }
}

describe('the data of an upload', () => {
  it('is what its messages have, however long they are and whoever is faster', async () => {
    const sizes = fc
      .constantFrom(10, 4 * KIB, 5 * KIB, 40 * KIB, 200 * KIB)
      .chain((most) => fc.array(fc.nat(most), { minLength: 1, maxLength: 40, size: 'max' }));
    const turns = fc.array(fc.constantFrom(0, 0, 1, 4, 40), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(sizes, turns, async (lengths, waits) => {
        const { messages, content } = uploadOf(lengths);
        expect((await taken(messages, waits)).equals(content)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('waits for a slow store at the client, but for 128 KiB', async () => {
    const { messages, content } = uploadOf(Array.from({ length: 200 }, () => 16 * KIB));
    const data = await UploadData.begin(messages);
    let received = 0;
    for (;;) {
      for (let i = 0; i < 20; i++) await turn();
      expect(messages.bytes - received).toBeLessThan((128 + 2 * 17) * KIB);
      const { done, value } = await data.next();
      if (done) break;
      received += value.length;
    }
    expect(received).toBe(content.length);
  });
});
