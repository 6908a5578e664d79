import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { DIGEST_FUNCTIONS, Digest, InvalidDigestError } from '@granary/blobs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BatchReadBlobsRequestSchema,
  BatchReadBlobsResponseSchema,
  BatchUpdateBlobsRequestSchema,
  BatchUpdateBlobsResponseSchema,
  FindMissingBlobsRequestSchema,
  FindMissingBlobsResponseSchema,
  GetActionResultRequestSchema,
  GetTreeResponseSchema,
  UpdateActionResultRequestSchema,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import {
  QueryWriteStatusRequestSchema,
  QueryWriteStatusResponseSchema,
  ReadRequestSchema,
  ReadResponseSchema,
  WriteRequestSchema,
  WriteResponseSchema,
} from '../gen/google/bytestream/bytestream_pb.js';
import * as wire from './index.js';
import { WireWriter } from './wire-writer.js';

// The generated code is the judge: what one side writes the other must read, and the other way round.

type Init<D extends DescMessage> = MessageInitShape<D> & object;

function encode<D extends DescMessage>(schema: D, message: Init<D>): Buffer {
  return Buffer.from(toBinary(schema, create(schema, message)));
}

function decoded<D extends DescMessage>(schema: D, bytes: Uint8Array) {
  return fromBinary(schema, bytes);
}

/** Fields that no message knows, of every wire type, groups within groups included. */
const unknownField = fc
  .record({
    number: fc.integer({ min: 600, max: 536_870_911 }),
    kind: fc.constantFrom('varint', 'fixed64', 'bytes', 'fixed32', 'group'),
    bytes: fc.uint8Array({ minLength: 8, maxLength: 20 }),
  })
  .map(({ number, kind, bytes }) => {
    const varint = (value: number) => {
      const out = [];
      let rest = value;
      for (; rest >= 0x80; rest = Math.floor(rest / 128)) out.push((rest % 128) | 0x80);
      return [...out, rest];
    };
    const tag = (type: number) => varint(number * 8 + type);
    switch (kind) {
      case 'varint':
        return Buffer.from([...tag(0), ...varint(bytes[0]! * 2 ** 40 + 7)]);
      case 'fixed64':
        return Buffer.from([...tag(1), ...bytes.subarray(0, 8)]);
      case 'bytes':
        return Buffer.from([...tag(2), bytes.length, ...bytes]);
      case 'fixed32':
        return Buffer.from([...tag(5), ...bytes.subarray(0, 4)]);
      default:
        return Buffer.from([...tag(3), 0x0b, 0x10, 0x05, 0x0c, ...tag(4)]);
    }
  });

/** A message with unknown fields in front of it and behind it. */
const withUnknown = (bytes: fc.Arbitrary<Buffer>) =>
  fc
    .tuple(fc.array(unknownField, { maxLength: 3 }), bytes, fc.array(unknownField, { maxLength: 3 }))
    .map(([before, message, after]) => Buffer.concat([...before, message, ...after]));

const safeInt = fc.oneof(
  fc.integer({ min: 0, max: 1 << 20 }),
  fc.maxSafeInteger(),
  fc.constantFrom(0, -1, 127, 128, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1)),
);
const size = fc.oneof(fc.integer({ min: 0, max: 1 << 24 }), fc.maxSafeInteger().map(Math.abs));
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const data = fc.uint8Array({ maxLength: 300 });
const fn = fc.constantFrom(...DIGEST_FUNCTIONS);
const compressor = fc.constantFrom(0, 1, 2, 3, 7, -5, 2 ** 31 - 1) as fc.Arbitrary<0>;
const status = fc.record({ code: fc.integer({ min: -3, max: 20 }), message: text });

const digestOf = (name: (typeof DIGEST_FUNCTIONS)[number]) =>
  fc
    .tuple(fc.uint8Array({ maxLength: 8 }), size)
    .map(([bytes, length]) => Digest.parse(name, Digest.of(name, bytes).hash, length));

/** A digest as people send it: mostly right. */
const messyDigest = (name: (typeof DIGEST_FUNCTIONS)[number]) =>
  fc.oneof(
    { weight: 4, arbitrary: digestOf(name).map((digest) => ({ hash: digest.hash, sizeBytes: BigInt(digest.size) })) },
    { weight: 1, arbitrary: fc.record({ hash: text, sizeBytes: safeInt.map(BigInt) }) },
    {
      weight: 1,
      arbitrary: digestOf(name).map((digest) => ({ hash: digest.hash.toUpperCase(), sizeBytes: -BigInt(digest.size) })),
    },
  );

const asMessage = (digest: { hash: string; size: number }) => ({ hash: digest.hash, sizeBytes: BigInt(digest.size) });

function expectSame(requested: wire.RequestedDigest, sent: { hash: string; sizeBytes: bigint } | undefined): void {
  expect(asMessage(requested)).toEqual(
    sent ? { hash: sent.hash, sizeBytes: BigInt(Number(sent.sizeBytes)) } : { hash: '', sizeBytes: 0n },
  );
  if (requested instanceof wire.MalformedDigest) expect(requested.error).toBeInstanceOf(InvalidDigestError);
}

describe('FindMissingBlobs', () => {
  const request = fn.chain((name) =>
    fc.record({
      name: fc.constant(name),
      instanceName: text,
      blobDigests: fc.array(digestOf(name), { maxLength: 20 }),
      named: fc.boolean(),
    }),
  );

  it('reads requests that the generated code wrote', () => {
    fc.assert(
      fc.property(request, fc.array(unknownField), ({ name, instanceName, blobDigests, named }, unknown) => {
        const digestFunction = (named || name === 'blake3' ? wire.digestFunctionNumber(name) : 0) as 0;
        const bytes = encode(FindMissingBlobsRequestSchema, {
          instanceName,
          blobDigests: blobDigests.map(asMessage),
          digestFunction,
        });
        const read = wire.decodeFindMissingBlobsRequest(Buffer.concat([...unknown, bytes, ...unknown]));
        expect(read.instanceName).toBe(instanceName);
        expect(read.blobDigests.map(String)).toEqual(blobDigests.map(String));
        if (named || blobDigests.length > 0) expect(read.digestFunction).toBe(name);
        for (const digest of read.blobDigests) expect(digest.function).toBe(name);
      }),
    );
  });

  it('writes requests and responses that the generated code reads, and reads its own', () => {
    fc.assert(
      fc.property(request, ({ name, instanceName, blobDigests }) => {
        const bytes = wire.encodeFindMissingBlobsRequest({ instanceName, digestFunction: name, blobDigests });
        expect(decoded(FindMissingBlobsRequestSchema, bytes)).toMatchObject({
          instanceName,
          digestFunction: wire.digestFunctionNumber(name),
          blobDigests: blobDigests.map(asMessage),
        });
        const response = wire.encodeFindMissingBlobsResponse({ missingBlobDigests: blobDigests });
        const generated = decoded(FindMissingBlobsResponseSchema, response);
        expect(generated.missingBlobDigests).toMatchObject(blobDigests.map(asMessage));
        expect(Buffer.from(toBinary(FindMissingBlobsResponseSchema, generated))).toEqual(response);
        expect(wire.decodeFindMissingBlobsResponse(response, name).missingBlobDigests.map(String)).toEqual(
          blobDigests.map(String),
        );
      }),
    );
  });

  it('puts the hashes of one request into one allocation', () => {
    const blobDigests = Array.from({ length: 1000 }, (_, i) => Digest.of('sha256', Buffer.from(`${i}`)));
    const bytes = wire.encodeFindMissingBlobsRequest({ instanceName: '', digestFunction: 'sha256', blobDigests });
    const read = wire.decodeFindMissingBlobsRequest(bytes).blobDigests;
    expect(new Set(read.map((digest) => digest.words)).size).toBe(1);
    expect(read.map(String)).toEqual(blobDigests.map(String));
  });

  it('says that a function is unknown instead of guessing', () => {
    for (const number of [4, 7, 8, 99]) {
      const bytes = encode(FindMissingBlobsRequestSchema, {
        digestFunction: number as 4,
        blobDigests: [{ hash: 'ab'.repeat(32), sizeBytes: 1n }],
      });
      expect(wire.decodeFindMissingBlobsRequest(bytes)).toEqual({
        instanceName: '',
        digestFunction: undefined,
        blobDigests: [],
      });
    }
  });

  it.each([
    ['a hash of another length', { hash: 'ab'.repeat(31), sizeBytes: 1n }],
    ['no hash', {}],
    ['upper case', { hash: 'AB'.repeat(32), sizeBytes: 1n }],
    ['digits that are none', { hash: 'zz'.repeat(32), sizeBytes: 1n }],
    ['a negative size', { hash: 'ab'.repeat(32), sizeBytes: -1n }],
  ])('refuses a digest with %s', (_, digest) => {
    const good = { hash: 'cd'.repeat(32), sizeBytes: 3n };
    for (const blobDigests of [[digest], [good, digest]])
      expect(() =>
        wire.decodeFindMissingBlobsRequest(encode(FindMissingBlobsRequestSchema, { digestFunction: 1, blobDigests })),
      ).toThrow(InvalidDigestError);
  });

  it('refuses millions of empty digests before it makes anything for them', () => {
    const bytes = Buffer.alloc(4 * 1024 * 1024);
    for (let i = 0; i < bytes.length; i += 2) bytes[i] = 0x12;
    for (const decode of [
      wire.decodeFindMissingBlobsRequest,
      wire.decodeBatchReadBlobsRequest,
      wire.decodeBatchUpdateBlobsRequest,
    ])
      expect(() => decode(bytes)).toThrow(InvalidDigestError);
  });
});

describe('BatchUpdateBlobs', () => {
  const request = fn.chain((name) =>
    fc.record({
      instanceName: text,
      digestFunction: fc.constant(wire.digestFunctionNumber(name) as 0),
      requests: fc.array(
        fc.record(
          { digest: fc.option(messyDigest(name), { nil: undefined }), data, compressor },
          { requiredKeys: ['data', 'compressor'] },
        ),
        { maxLength: 10 },
      ),
    }),
  );

  it('agrees with the generated code on requests, both ways', () => {
    fc.assert(
      fc.property(request, fc.array(unknownField), (message, unknown) => {
        const bytes = Buffer.concat([
          ...unknown,
          encode(BatchUpdateBlobsRequestSchema, message as Init<typeof BatchUpdateBlobsRequestSchema>),
          ...unknown,
        ]);
        const read = catching(() => wire.decodeBatchUpdateBlobsRequest(bytes), InvalidDigestError);
        if (read instanceof Error) return; // more entries than could be valid
        const generated = decoded(BatchUpdateBlobsRequestSchema, bytes);
        expect(read.instanceName).toBe(generated.instanceName);
        expect(wire.digestFunctionNumber(read.digestFunction!)).toBe(generated.digestFunction);
        expect(read.requests.length).toBe(generated.requests.length);
        for (const [i, upload] of read.requests.entries()) {
          const judge = generated.requests[i]!;
          expectSame(upload.digest, judge.digest);
          expect(upload.data.equals(judge.data)).toBe(true);
          expect(upload.compressor).toBe(judge.compressor);
        }
        const again = decoded(BatchUpdateBlobsRequestSchema, wire.encodeBatchUpdateBlobsRequest(read));
        expect(again.requests.map((r) => [r.data, r.compressor, r.digest?.hash, r.digest?.sizeBytes])).toEqual(
          generated.requests.map((r) => [r.data, r.compressor, r.digest?.hash ?? '', r.digest?.sizeBytes ?? 0n]),
        );
      }),
    );
  });

  it('agrees with the generated code on responses, both ways', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ digest: messyDigest('sha256'), status })), (responses) => {
        const bytes = encode(BatchUpdateBlobsResponseSchema, { responses });
        const read = wire.decodeBatchUpdateBlobsResponse(bytes, 'sha256');
        expect(read.responses.map((r) => r.status)).toEqual(responses.map((r) => r.status));
        for (const [i, { digest }] of read.responses.entries()) expectSame(digest, responses[i]!.digest);
        expect(wire.encodeBatchUpdateBlobsResponse(read)).toEqual(bytes);
      }),
    );
  });

  it('keeps the data where it came in', () => {
    const digest = Digest.of('sha256', Buffer.from('hello'));
    const bytes = encode(BatchUpdateBlobsRequestSchema, {
      requests: [{ digest: asMessage(digest), data: Buffer.from('hello') }],
    });
    const [upload] = wire.decodeBatchUpdateBlobsRequest(bytes).requests;
    expect(upload!.data.toString()).toBe('hello');
    expect(upload!.data.buffer).toBe(bytes.buffer);
  });

  it('infers the function from the hashes', () => {
    const digest = asMessage(Digest.of('sha1', Buffer.from('x')));
    const read = wire.decodeBatchUpdateBlobsRequest(encode(BatchUpdateBlobsRequestSchema, { requests: [{ digest }] }));
    expect(read.digestFunction).toBe('sha1');
    expect(read.requests[0]!.digest).toBeInstanceOf(Digest);
  });
});

describe('BatchReadBlobs', () => {
  const request = fn.chain((name) =>
    fc.record({
      instanceName: text,
      digestFunction: fc.constant(wire.digestFunctionNumber(name) as 0),
      digests: fc.array(messyDigest(name), { maxLength: 10 }),
      acceptableCompressors: fc.array(compressor, { maxLength: 5 }),
    }),
  );

  it('agrees with the generated code on requests, both ways', () => {
    fc.assert(
      fc.property(request, fc.array(unknownField), (message, unknown) => {
        const bytes = Buffer.concat([encode(BatchReadBlobsRequestSchema, message), ...unknown]);
        const read = catching(() => wire.decodeBatchReadBlobsRequest(bytes), InvalidDigestError);
        if (read instanceof Error) return;
        expect(read.instanceName).toBe(message.instanceName);
        expect(read.acceptableCompressors).toEqual(message.acceptableCompressors);
        for (const [i, digest] of read.digests.entries()) expectSame(digest, message.digests[i]);
        expect(decoded(BatchReadBlobsRequestSchema, wire.encodeBatchReadBlobsRequest(read))).toMatchObject(message);
      }),
    );
  });

  it('takes compressors that are packed, unpacked or both', () => {
    const bytes = Buffer.from([0x18, 0x01, 0x1a, 0x02, 0x00, 0x03, 0x18, 0x02]);
    expect(wire.decodeBatchReadBlobsRequest(bytes).acceptableCompressors).toEqual([1, 0, 3, 2]);
  });

  it('agrees with the generated code on responses, both ways', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ digest: messyDigest('blake3'), data, status, compressor })), (responses) => {
        const bytes = encode(BatchReadBlobsResponseSchema, { responses });
        const read = wire.decodeBatchReadBlobsResponse(bytes, 'blake3');
        for (const [i, answer] of read.responses.entries()) {
          expectSame(answer.digest, responses[i]!.digest);
          expect(Buffer.compare(answer.data, responses[i]!.data)).toBe(0);
          expect([answer.status, answer.compressor]).toEqual([responses[i]!.status, responses[i]!.compressor]);
        }
        expect(decoded(BatchReadBlobsResponseSchema, wire.encodeBatchReadBlobsResponse(read))).toEqual(
          decoded(BatchReadBlobsResponseSchema, bytes),
        );
      }),
    );
  });
});

describe('a BatchReadBlobs response that is built while its blobs are read', () => {
  const blob = fc.record({
    digest: messyDigest('sha256'),
    bytes: data,
    way: fc.constantFrom('placed', 'handed in', 'placed and then missing', 'missing'),
  });
  const missing = { code: 5, message: 'not here' };

  it('says the same whether bytes were placed, handed in or never came, however much room was made', () => {
    fc.assert(
      fc.property(fc.array(blob), fc.nat(200), fc.nat(9), (blobs, maxBytes, headroom) => {
        const bytes = encode(BatchReadBlobsResponseSchema, { responses: blobs.map(({ digest }) => ({ digest })) });
        const digests = wire.decodeBatchReadBlobsResponse(bytes, 'sha256').responses.map(({ digest }) => digest);
        const writer = new wire.BatchReadBlobsResponseWriter(digests, { maxBytes, headroom });
        const expected: wire.BatchReadBlobsResponse['responses'][number][] = [];
        for (const [i, { bytes: content, way }] of blobs.entries()) {
          const digest = digests[i]!;
          const place = way.startsWith('placed') ? writer.place(digest, content.length) : undefined;
          place?.set(content);
          const found = { digest, data: place ?? content, compressor: 0, status: { code: 0, message: '' } };
          const answer = way.endsWith('missing') ? { ...found, data: Buffer.alloc(0), status: missing } : found;
          expected.push({ ...answer, data: Buffer.from(answer.data) });
          writer.add(answer);
        }
        expect(decoded(BatchReadBlobsResponseSchema, writer.finish().subarray(headroom))).toEqual(
          decoded(BatchReadBlobsResponseSchema, wire.encodeBatchReadBlobsResponse({ responses: expected })),
        );
      }),
    );
  });

  it('makes no more room at once than it may, whatever sizes are asked for', () => {
    const digest = Digest.parse('sha256', 'a'.repeat(64), 2 ** 40);
    const writer = new wire.BatchReadBlobsResponseWriter([digest], {
      maxBytes: 1000,
    });
    expect(writer.finish().buffer.byteLength).toBeLessThan(100_000);
  });
});

describe('ByteStream', () => {
  it('agrees with the generated code on ReadRequest', () => {
    fc.assert(
      fc.property(text, safeInt, safeInt, (resourceName, readOffset, readLimit) => {
        const bytes = encode(ReadRequestSchema, {
          resourceName,
          readOffset: BigInt(readOffset),
          readLimit: BigInt(readLimit),
        });
        expect(wire.decodeReadRequest(bytes)).toEqual({ resourceName, readOffset, readLimit });
        expect(wire.encodeReadRequest({ resourceName, readOffset, readLimit })).toEqual(bytes);
      }),
    );
  });

  it('agrees with the generated code on ReadResponse, with headroom and without', () => {
    const lengths = fc.oneof(fc.nat(300), fc.constantFrom(127, 128, 16_383, 16_384, 256 * 1024, 3 << 20));
    fc.assert(
      fc.property(lengths, fc.nat(255), (length, fill) => {
        const chunk = Buffer.alloc(16 + length, fill).subarray(16);
        const copy = Buffer.from(chunk);
        const frame = wire.encodeReadResponse(chunk);
        expect(Buffer.compare(decoded(ReadResponseSchema, frame).data, copy)).toBe(0);
        expect(frame.equals(wire.copyReadResponse(copy))).toBe(true);
        expect(wire.decodeReadResponse(frame).equals(copy)).toBe(true);
        if (length > 0) expect(frame.buffer).toBe(chunk.buffer);
      }),
      { numRuns: 30 },
    );
  });

  it('agrees with the generated code on WriteRequest', () => {
    fc.assert(
      fc.property(
        text,
        safeInt,
        fc.boolean(),
        data,
        fc.array(unknownField),
        (resourceName, writeOffset, finishWrite, bytes, unknown) => {
          const message = encode(WriteRequestSchema, {
            resourceName,
            writeOffset: BigInt(writeOffset),
            finishWrite,
            data: bytes,
          });
          const read = wire.decodeWriteRequest(Buffer.concat([...unknown, message, ...unknown]));
          expect(read.resourceName.toString()).toBe(resourceName);
          expect([read.writeOffset, read.finishWrite]).toEqual([writeOffset, finishWrite]);
          expect(read.data.equals(bytes)).toBe(true);
          expect(wire.encodeWriteRequest(read)).toEqual(message);
        },
      ),
    );
  });

  it('agrees with the generated code on the rest', () => {
    fc.assert(
      fc.property(text, safeInt, fc.boolean(), (resourceName, committedSize, complete) => {
        const write = encode(WriteResponseSchema, { committedSize: BigInt(committedSize) });
        expect(wire.encodeWriteResponse({ committedSize })).toEqual(write);
        expect(wire.decodeWriteResponse(write)).toEqual({ committedSize });
        const query = encode(QueryWriteStatusRequestSchema, { resourceName });
        expect(wire.encodeQueryWriteStatusRequest({ resourceName })).toEqual(query);
        expect(wire.decodeQueryWriteStatusRequest(query)).toEqual({ resourceName });
        const answer = encode(QueryWriteStatusResponseSchema, { committedSize: BigInt(committedSize), complete });
        expect(wire.encodeQueryWriteStatusResponse({ committedSize, complete })).toEqual(answer);
        expect(wire.decodeQueryWriteStatusResponse(answer)).toEqual({ committedSize, complete });
      }),
    );
  });
});

describe('the action cache', () => {
  it('agrees with the generated code on GetActionResultRequest', () => {
    const message = fc.record({
      instanceName: text,
      actionDigest: messyDigest('sha256'),
      inlineStdout: fc.boolean(),
      inlineStderr: fc.boolean(),
      inlineOutputFiles: fc.array(text),
      digestFunction: fc.constant(1 as const),
    });
    fc.assert(
      fc.property(message, fc.array(unknownField), (request, unknown) => {
        const bytes = encode(GetActionResultRequestSchema, request);
        const read = wire.decodeGetActionResultRequest(Buffer.concat([...unknown, bytes, ...unknown]));
        expectSame(read.actionDigest!, request.actionDigest);
        expect(read).toMatchObject({
          instanceName: request.instanceName,
          digestFunction: 'sha256',
          inlineStdout: request.inlineStdout,
          inlineStderr: request.inlineStderr,
          inlineOutputFiles: request.inlineOutputFiles,
        });
        expect(wire.encodeGetActionResultRequest(read)).toEqual(bytes);
      }),
    );
  });

  it('hands the result of UpdateActionResultRequest on byte for byte', () => {
    fc.assert(
      fc.property(
        text,
        messyDigest('sha256'),
        fc.integer({ min: -1, max: 300 }),
        text,
        (instanceName, actionDigest, exitCode, path) => {
          const actionResult = { exitCode, outputSymlinks: [{ path, target: path }] };
          const bytes = encode(UpdateActionResultRequestSchema, {
            instanceName,
            actionDigest,
            actionResult,
            digestFunction: 1,
          });
          const read = wire.decodeUpdateActionResultRequest(bytes);
          expectSame(read.actionDigest!, actionDigest);
          const again = wire.encodeUpdateActionResultRequest(read);
          expect(again).toEqual(bytes);
          expect(decoded(UpdateActionResultRequestSchema, again).actionResult).toMatchObject(actionResult);
        },
      ),
    );
  });

  it('tells a missing digest or result from an empty one', () => {
    const empty = wire.decodeUpdateActionResultRequest(Buffer.alloc(0));
    expect([empty.actionDigest, empty.actionResult]).toEqual([undefined, undefined]);
    const blank = wire.decodeUpdateActionResultRequest(
      encode(UpdateActionResultRequestSchema, { actionResult: {}, actionDigest: {} }),
    );
    expect(blank.actionResult).toHaveLength(0);
    expect(() => wire.validDigest(blank.actionDigest!)).toThrow(InvalidDigestError);
    expect(wire.encodeUpdateActionResultRequest(blank)).toEqual(Buffer.from([0x12, 0, 0x1a, 0, 0x28, 1]));
    expect(wire.encodeGetActionResultRequest(wire.decodeGetActionResultRequest(Buffer.alloc(0)))).toEqual(
      Buffer.from([0x30, 1]),
    );
  });

  it('merges a result that comes in two parts', () => {
    const part = (exitCode: number, stdout: string) =>
      encode(UpdateActionResultRequestSchema, { actionResult: { exitCode, stdoutRaw: Buffer.from(stdout) } });
    const both = Buffer.concat([part(1, 'a'), part(0, 'b')]);
    const read = wire.decodeUpdateActionResultRequest(both);
    expect(decoded(UpdateActionResultRequestSchema, wire.encodeUpdateActionResultRequest(read)).actionResult).toEqual(
      decoded(UpdateActionResultRequestSchema, both).actionResult,
    );
  });
});

it('writes GetTreeResponse around directories as they are stored', () => {
  const directories = [{ files: [{ name: 'a' }] }, {}];
  const page = encode(GetTreeResponseSchema, { directories, nextPageToken: 'next ü' });
  const stored = decoded(GetTreeResponseSchema, page).directories.map((directory) =>
    encode(GetTreeResponseSchema, { directories: [directory] }).subarray(2),
  );
  expect(wire.encodeGetTreeResponse(stored, 'next ü')).toEqual(page);
});

describe('the wire format', () => {
  it('lets the last value of a repeated singular field win, and merges digests', () => {
    const read = wire.decodeReadRequest(Buffer.from([0x10, 5, 0x10, 7, 0x0a, 1, 0x61, 0x0a, 1, 0x62]));
    expect(read).toEqual({ resourceName: 'b', readOffset: 7, readLimit: 0 });
    const hash = 'ab'.repeat(32);
    const onlyHash = encode(GetActionResultRequestSchema, { actionDigest: { hash } });
    const onlySize = encode(GetActionResultRequestSchema, { actionDigest: { sizeBytes: 9n } });
    const merged = wire.decodeGetActionResultRequest(Buffer.concat([onlyHash, onlySize])).actionDigest!;
    expect(`${merged}`).toBe(`${hash}/9`);
  });

  it('passes over a known field of another wire type', () => {
    // read_offset as four fixed bytes, resource_name as a number
    expect(wire.decodeReadRequest(Buffer.from([0x15, 1, 2, 3, 4, 0x08, 1, 0x18, 2]))).toEqual({
      resourceName: '',
      readOffset: 0,
      readLimit: 2,
    });
  });

  it.each([
    ['a tag that ends early', [0x80]],
    ['field number 0', [0x00, 0x01]],
    ['a tag beyond 32 bits', [0xf8, 0xff, 0xff, 0xff, 0xff, 0x01, 0]],
    ['a number of eleven bytes', [0x10, ...Array(10).fill(0x80), 1]],
    ['a length beyond the end', [0x0a, 5, 1, 2]],
    ['a length of nearly 2^64', [0x0a, ...Array(9).fill(0xff), 1]],
    ['a length of 2^31', [0x0a, 0x80, 0x80, 0x80, 0x80, 0x08]],
    ['wire type 6', [0x16, 0]],
    ['wire type 7', [0x17, 0]],
    ['the end of a group that did not begin', [0x14]],
    ['a group that never ends', [0x13, 0x10, 1]],
    ['a group that another field ends', [0x13, 0x1c]],
    ['groups nested without end', Array(200).fill(0x13)],
    ['a short fixed32', [0x15, 1, 2]],
    ['a short fixed64', [0x11, 1, 2]],
    ['text that is not UTF-8', [0x0a, 2, 0xc3, 0x28]],
  ])('refuses %s', (_, bytes) => {
    expect(() => wire.decodeReadRequest(Buffer.from(bytes))).toThrow(wire.WireFormatError);
  });

  it('refuses a number beyond 2^53 where it is no offset', () => {
    const bytes = encode(WriteRequestSchema, { writeOffset: 2n ** 53n });
    expect(() => wire.decodeWriteRequest(bytes)).toThrow(wire.WireFormatError);
  });

  it.each([2n ** 63n - 1n, 2n ** 53n, -(2n ** 53n), -(2n ** 63n)])('takes %d for beyond every blob', (position) => {
    const bytes = encode(ReadRequestSchema, { resourceName: 'a', readOffset: position, readLimit: position });
    const beyond = position < 0 ? -Number.MAX_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
    expect(wire.decodeReadRequest(bytes)).toEqual({ resourceName: 'a', readOffset: beyond, readLimit: beyond });
  });

  it('keeps U+FFFD that was really sent', () => {
    expect(wire.decodeReadRequest(encode(ReadRequestSchema, { resourceName: 'a\ufffdb' })).resourceName).toBe(
      'a\ufffdb',
    );
  });

  it('never hands out memory that was not written', () => {
    expect(() => new WireWriter(3).finish()).toThrow(/announced as 3 bytes/);
  });
});

const decoders: Record<string, (bytes: Buffer) => unknown> = {
  decodeFindMissingBlobsRequest: wire.decodeFindMissingBlobsRequest,
  decodeFindMissingBlobsResponse: (bytes) => wire.decodeFindMissingBlobsResponse(bytes, 'sha256'),
  decodeBatchUpdateBlobsRequest: wire.decodeBatchUpdateBlobsRequest,
  decodeBatchUpdateBlobsResponse: (bytes) => wire.decodeBatchUpdateBlobsResponse(bytes, 'sha256'),
  decodeBatchReadBlobsRequest: wire.decodeBatchReadBlobsRequest,
  decodeBatchReadBlobsResponse: (bytes) => wire.decodeBatchReadBlobsResponse(bytes, 'sha256'),
  decodeReadRequest: wire.decodeReadRequest,
  decodeReadResponse: wire.decodeReadResponse,
  decodeWriteRequest: wire.decodeWriteRequest,
  decodeWriteResponse: wire.decodeWriteResponse,
  decodeQueryWriteStatusRequest: wire.decodeQueryWriteStatusRequest,
  decodeQueryWriteStatusResponse: wire.decodeQueryWriteStatusResponse,
  decodeGetActionResultRequest: wire.decodeGetActionResultRequest,
  decodeUpdateActionResultRequest: wire.decodeUpdateActionResultRequest,
  scanActionResult: (bytes) => wire.scanActionResult(bytes, 'sha256'),
  scanTree: (bytes) => wire.scanTree(bytes, 'sha256'),
  scanDirectory: (bytes) => wire.scanDirectory(bytes, 'sha256'),
};

describe.each(Object.entries(decoders))('%s, fed with garbage', (_, decode) => {
  const expectMessageOrError = (bytes: Buffer) => {
    catching(() => decode(bytes), wire.WireFormatError, InvalidDigestError);
  };

  it('answers with a message or one of its two errors', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }).map(Buffer.from), expectMessageOrError), { numRuns: 500 });
  });

  it('survives real messages with a few bytes changed, cut or repeated', () => {
    const digest = asMessage(Digest.of('sha256', Buffer.from('x')));
    const seeds = [
      encode(FindMissingBlobsRequestSchema, {
        instanceName: 'i',
        blobDigests: [digest, digest, digest],
        digestFunction: 1,
      }),
      encode(BatchUpdateBlobsRequestSchema, { requests: [{ digest, data: Buffer.from('data'), compressor: 1 }] }),
      encode(BatchReadBlobsResponseSchema, {
        responses: [{ digest, data: Buffer.from('data'), status: { code: 5, message: 'no' } }],
      }),
      encode(WriteRequestSchema, {
        resourceName: 'uploads/x',
        writeOffset: 70000n,
        data: Buffer.from('data'),
        finishWrite: true,
      }),
      encode(UpdateActionResultRequestSchema, {
        actionDigest: digest,
        actionResult: { outputFiles: [{ path: 'a', digest }], stdoutDigest: digest },
      }),
    ];
    const mutated = fc
      .tuple(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.nat(),
        fc.boolean(),
      )
      .map(([seed, changes, cut, twice]) => {
        const bytes = Buffer.from(twice ? Buffer.concat([seed, seed]) : seed);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        return bytes.subarray(0, bytes.length - (cut % 3 === 0 ? cut % bytes.length : 0));
      });
    fc.assert(fc.property(withUnknown(mutated), expectMessageOrError), { numRuns: 500 });
  });
});

/** What `run` gives, or the error of one of these kinds that it throws; any other fails the test. */
function catching<T>(run: () => T, ...kinds: (new (message: string) => Error)[]): T | Error {
  try {
    return run();
  } catch (error) {
    const known = kinds.some((kind) => error instanceof kind);
    if (known) return error as Error;
    throw error;
  }
}
