import type { WireStatus } from './messages.js';
import type { WireReader } from './wire-reader.js';
import { numberSize, optionalSize, type WireWriter } from './wire-writer.js';

const CODE = 0x08;
const MESSAGE = 0x12;

export const OK_STATUS: WireStatus = { code: 0, message: '' };

/** Reads the `google.rpc.Status` that begins at the reader, merged into what came before. */
export function readStatus(reader: WireReader, before: WireStatus): WireStatus {
  let { code, message } = before;
  const outer = reader.enter();
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === CODE) code = reader.int32();
    else if (tag === MESSAGE) message = reader.string();
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { code, message };
}

/** Bytes of a status's fields, without the header of the message. */
export function statusSize(status: WireStatus): number {
  return numberSize(status.code) + optionalSize(Buffer.byteLength(status.message));
}

export function writeStatus(writer: WireWriter, status: WireStatus): void {
  writer.number(CODE, status.code);
  writer.text(MESSAGE, status.message, Buffer.byteLength(status.message));
}
