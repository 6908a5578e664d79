import { ProtocolError } from './protocol-error.js';

const refuse = (): never => {
  throw new ProtocolError('UNSERVABLE', 'zstd is not built in yet');
};

export const compress = async (_bytes: Buffer): Promise<Buffer> => refuse();
export const decompress = async (_bytes: Buffer, _maxBytes: number): Promise<Buffer> => refuse();
export const compressStream = (_source: AsyncIterable<Buffer>): AsyncIterable<Buffer> => refuse();
export const decompressStream = (_source: AsyncIterable<Buffer>, _maxBytes: number): AsyncIterable<Buffer> => refuse();
