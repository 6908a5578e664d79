import { promisify } from 'node:util';
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerReadableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeWriteRequest, encodeWriteRequest, type WriteRequest } from '../../wire/index.js';
import { splitLargeWrites, UploadDecoder } from './upload-decoder.js';

const KIB = 1024;
const MAX_BYTES = 600 * KIB;
const PART_BYTES = 128 * KIB;

/** As grpc-js's own: hands out each message behind the header of its frame when it is whole. */
class WholeMessages {
  #rest = Buffer.alloc(0);

  write(chunk: Buffer): Buffer[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const messages: Buffer[] = [];
    while (this.#rest.length >= 5 && this.#rest.length >= 5 + this.#rest.readUInt32BE(1)) {
      const end = 5 + this.#rest.readUInt32BE(1);
      messages.push(this.#rest.subarray(0, end));
      this.#rest = this.#rest.subarray(end);
    }
    return messages;
  }
}

function frame(message: Buffer, flags = 0): Buffer {
  const header = Buffer.alloc(5);
  header[0] = flags;
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

/** What a receiver learns, however it was cut into messages. */
function learned(messages: readonly WriteRequest[]): unknown[] {
  const events: { what: string; at: number; bytes: Buffer }[] = [];
  for (const { resourceName, writeOffset, finishWrite, data } of messages) {
    const last = events.at(-1);
    if (resourceName.length > 0) events.push({ what: 'name', at: writeOffset, bytes: resourceName });
    else if (last?.what === 'data' && last.at + last.bytes.length === writeOffset) {
      last.bytes = Buffer.concat([last.bytes, data]);
      if (finishWrite) events.push({ what: 'finish', at: writeOffset + data.length, bytes: Buffer.alloc(0) });
      continue;
    }
    events.push({ what: 'data', at: writeOffset, bytes: data });
    if (finishWrite) events.push({ what: 'finish', at: writeOffset + data.length, bytes: Buffer.alloc(0) });
  }
  return events.map(({ what, at, bytes }) => `${what} at ${at}: ${bytes.length} ${bytes.toString('latin1')}`);
}

const sizes = fc.oneof(
  fc.nat({ max: 40 }),
  fc.constantFrom(PART_BYTES - 20, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 300 * KIB, MAX_BYTES + 10),
);
const requests = fc.array(
  fc.record({
    resourceName: fc.string({ maxLength: 20 }).map((text) => Buffer.from(text)),
    writeOffset: fc.oneof(fc.nat(), fc.constant(2 ** 40)),
    finishWrite: fc.boolean(),
    data: fc.tuple(sizes, fc.nat({ max: 255 })).map(([size, fill]) => Buffer.alloc(size, fill)),
  }),
  { maxLength: 4 },
);
const steps = fc.array(fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 9, max: 70 * KIB })), {
  minLength: 1,
  maxLength: 6,
});

function decode(stream: Buffer, lengths: readonly number[]): Buffer[] {
  const decoder = new UploadDecoder(new WholeMessages(), MAX_BYTES);
  const messages: Buffer[] = [];
  for (let at = 0, i = 0; at < stream.length; i++) {
    // What comes in bytes at first comes in larger chunks in the end, so that it ends soon.
    const length = i < 40 ? (lengths[i % lengths.length] as number) : 16 * KIB;
    messages.push(...decoder.write(stream.subarray(at, at + length)));
    at += length;
  }
  return messages;
}

const payloads = (messages: readonly Buffer[]) => messages.map((message) => decodeWriteRequest(message.subarray(5)));

describe('UploadDecoder', () => {
  it('hands out the same upload, however it arrives, in parts that are small', () => {
    fc.assert(
      fc.property(requests, steps, (list, lengths) => {
        const stream = Buffer.concat(list.map((request) => frame(encodeWriteRequest(request))));
        const messages = decode(stream, lengths);
        expect(learned(payloads(messages))).toEqual(learned(list));
        for (const message of messages) {
          expect(message[0]).toBe(0);
          expect(message.readUInt32BE(1)).toBe(message.length - 5);
          expect(message.length <= PART_BYTES + 60 || message.length > MAX_BYTES).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('hands out a part before the rest of its message has come', () => {
    const decoder = new UploadDecoder(new WholeMessages(), MAX_BYTES);
    const request = {
      resourceName: Buffer.from('name'),
      writeOffset: 7,
      finishWrite: true,
      data: Buffer.alloc(300 * KIB),
    };
    const [first, ...more] = payloads(decoder.write(frame(encodeWriteRequest(request)).subarray(0, PART_BYTES + 100)));
    expect(more).toEqual([]);
    expect({ ...first, data: first!.data.length }).toEqual({
      resourceName: request.resourceName,
      writeOffset: 7,
      finishWrite: false,
      data: PART_BYTES,
    });
  });

  it.each([
    ['is compressed', frame(encodeWriteRequest(large()), 1)],
    ['has its data before other fields', frame(Buffer.concat([encodeWriteRequest(large()), Buffer.of(0x18, 1)]))],
    ['has a field that nobody knows', frame(Buffer.concat([Buffer.of(0x78, 1), encodeWriteRequest(large())]))],
    ['has a name that is too long', frame(encodeWriteRequest(large(Buffer.alloc(2000, 'x'))))],
    ['is no message at all', frame(Buffer.alloc(200 * KIB, 0xff))],
  ])('leaves a message alone that %s', (_, whole) => {
    const small = frame(encodeWriteRequest({ ...large(), data: Buffer.from('small') }));
    const messages = decode(Buffer.concat([small, whole, small]), [1000]);
    expect(messages.map((message) => message.equals(whole))).toEqual([false, true, false]);
    expect(messages[0]).toEqual(small);
    expect(messages[2]).toEqual(small);
  });
});

describe('splitLargeWrites', () => {
  it('finds the decoder of a call of the grpc-js that is installed', async () => {
    const same = (bytes: Buffer) => bytes;
    const method = {
      path: '/test/Write',
      requestStream: true,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    } as const;
    const server = new Server();
    const parts: number[] = [];
    server.addService(
      { write: method },
      {
        write(call: ServerReadableStream<Buffer, Buffer>, callback: sendUnaryData<Buffer>) {
          splitLargeWrites(call, MAX_BYTES);
          call.on('data', (message: Buffer) => parts.push(decodeWriteRequest(message).data.length));
          call.on('end', () => callback(null, Buffer.from('done')));
        },
      },
    );
    const port = await promisify(server.bindAsync.bind(server))('127.0.0.1:0', ServerCredentials.createInsecure());
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    try {
      const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
        const call = client.makeClientStreamRequest(method.path, same, same, (error, bytes) =>
          error ? reject(error) : resolve(bytes),
        );
        call.end(encodeWriteRequest({ ...large(), data: Buffer.alloc(300 * KIB) }));
      });
      expect(answer).toEqual(Buffer.from('done'));
      expect(parts).toEqual([PART_BYTES, PART_BYTES, 44 * KIB]);
    } finally {
      client.close();
      server.forceShutdown();
    }
  });
});

function large(resourceName = Buffer.from('name')): WriteRequest {
  return { resourceName, writeOffset: 0, finishWrite: false, data: Buffer.alloc(200 * KIB, 'd') };
}
