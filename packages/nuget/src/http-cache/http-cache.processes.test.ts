import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpCache } from './http-cache.js';

const SOURCE = 'https://api.nuget.org/v3/index.json';
/** What was built: a plain process can't load the sources. */
const BUILT = new URL('../../dist/http-cache/http-cache.js', import.meta.url).href;
const LENGTH = 50_000;
const WRITES = 40;
/** Writes one key again and again, each time with one letter all over. */
const WRITER = `
  const { HttpCache } = await import(${JSON.stringify(BUILT)});
  const [folder, letter] = process.argv.slice(1);
  const cache = new HttpCache({ folder });
  for (let i = 0; i < ${WRITES}; i++) {
    await cache.set(${JSON.stringify(SOURCE)}, 'key', Buffer.alloc(${LENGTH}, letter), undefined, {
      validators: { url: letter, etag: letter },
    });
  }
  await cache.close();
`;

const folder = mkdtempSync(join(tmpdir(), 'http-cache-processes-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a cache that several processes write to', () => {
  it('fails for none of them, and never shows a part of a file, or validators that name another content', async () => {
    const letters = ['a', 'b', 'c'];
    const exits = letters.map(async (letter) => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER, folder, letter], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
      return { errors, code };
    });
    const cache = new HttpCache({ folder });
    let running = true;
    const all = Promise.all(exits).finally(() => {
      running = false;
    });
    let reads = 0;
    while (running || reads === 0) {
      // Small files are read without a turn of the event loop, and the end of a process comes in one.
      await new Promise(setImmediate);
      const file = await cache.open(SOURCE, 'key');
      if (file === undefined) continue;
      const validators = await cache.validators(SOURCE, 'key');
      const content = await file.bytes();
      reads++;
      const letter = content.toString('latin1', 0, 1);
      expect(content.equals(Buffer.alloc(LENGTH, letter))).toBe(true);
      expect(letters).toContain(letter);
      if (validators === undefined) continue;
      const named = createHash('sha512').update(Buffer.alloc(LENGTH, validators.etag)).digest('base64');
      expect(validators.sha512).toBe(named);
    }
    expect(await all).toEqual(letters.map(() => ({ errors: '', code: 0 })));
    const [only] = readdirSync(folder);
    expect(readdirSync(join(folder, String(only))).sort()).toEqual(['key.dat', 'key.etag']);
    await cache.close();
  });
});
