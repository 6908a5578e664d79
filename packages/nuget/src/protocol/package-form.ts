import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { NuGetError } from '../errors.js';
import type { PushedPackage } from './provider.js';

/** A package as the one file of a form: what sources take. */
export interface PackageForm {
  readonly contentType: string;
  /** Bytes in all. */
  readonly length: number;
  /** Makes the form anew for each attempt. It is streamed: the package is never in memory as a whole. */
  readonly open: () => Readable;
}

/** @param fileName what the package is called in the form; sources ignore it. */
export function packageForm(pkg: PushedPackage, fileName: string): PackageForm {
  const boundary = randomBytes(16).toString('hex');
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="package"; filename="${fileName}"\r\n` +
      'Content-Type: application/octet-stream\r\n\r\n',
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  return {
    contentType: `multipart/form-data; boundary="${boundary}"`,
    length: head.length + pkg.size + tail.length,
    open: () => openForm(head, pkg, tail),
  };
}

function openForm(head: Buffer, pkg: PushedPackage, tail: Buffer): Readable {
  let content: Readable | undefined;
  async function* parts(): AsyncGenerator<Buffer> {
    yield head;
    content = pkg.open();
    let length = 0;
    for await (const chunk of content as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > pkg.size) break;
      yield chunk;
    }
    if (length !== pkg.size) {
      throw new NuGetError('INVALID_PACKAGE', `${pkg.name} isn't ${pkg.size} bytes long any more: it has changed`);
    }
    yield tail;
  }
  const chunks = parts();
  return new Readable({
    read() {
      chunks.next().then(
        ({ done, value }) => this.push(done === true ? null : value),
        (error: unknown) => this.destroy(error as Error),
      );
    },
    // A generator that waits for the package's next bytes can't be ended, so what it waits for is.
    destroy(error, callback) {
      content?.destroy();
      callback(error);
    },
  });
}
