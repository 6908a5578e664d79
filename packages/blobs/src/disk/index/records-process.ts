// node records-process.js FOLDER: writes the records of the index in this folder to its standard output.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readEntries } from './index-database.js';
import { encodeEntries } from './record-stream.js';

await pipeline(Readable.from(encodeEntries(readEntries(process.argv[2] as string))), process.stdout);
