import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WriteRequestSchema } from '../../gen/google/bytestream/bytestream_pb.js';
import { decodeWriteRequest } from '../../wire/index.js';
import { UploadMessage } from './upload-message.js';

describe('the messages of an upload', () => {
  it('say to both codecs what was put into them', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, unit: 'binary' }),
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 200 }),
        (name, chunks, maxBytes) => {
          const message = new UploadMessage(name, maxBytes);
          const sent: Buffer[] = [];
          const offsets: number[] = [];
          let first = true;
          const check = (last: boolean) => {
            const bytes = message.encode(last);
            const ours = decodeWriteRequest(bytes);
            const generated = fromBinary(WriteRequestSchema, bytes);
            expect(ours.resourceName.toString()).toBe(generated.resourceName);
            // The name goes with what has the offset 0.
            if (first) expect(generated.resourceName).toBe(name);
            expect(BigInt(ours.writeOffset)).toBe(generated.writeOffset);
            expect(ours.finishWrite).toBe(last);
            expect(generated.finishWrite).toBe(last);
            expect(ours.data.equals(generated.data)).toBe(true);
            offsets.push(ours.writeOffset);
            sent.push(Buffer.from(ours.data));
            first = false;
          };
          for (const chunk of chunks)
            for (let at = 0; at < chunk.length; at += message.add(chunk, at)) if (message.isFull) check(false);
          check(true);
          const expected = Buffer.concat(chunks);
          expect(Buffer.concat(sent).equals(expected)).toBe(true);
          expect(sent.slice(0, -1).every((data) => data.length === maxBytes)).toBe(true);
          expect(offsets).toEqual(sent.map((_, i) => i * maxBytes));
          expect(message.offset).toBe(expected.length);
        },
      ),
    );
  });

  it('name offsets beyond 4 GiB', () => {
    const message = new UploadMessage('n', 1024 * 1024);
    const piece = Buffer.alloc(1024 * 1024);
    for (let i = 0; i < 4100; i++) {
      message.add(piece, 0);
      message.encode(false);
    }
    message.add(piece, 0);
    expect(decodeWriteRequest(message.encode(true)).writeOffset).toBe(4100 * 1024 * 1024);
  });
});
