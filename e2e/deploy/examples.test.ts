import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deployed } from '../prometheus/deployed-files.js';
import { checkConfig } from './config.js';

const files = readdirSync(deployed('examples'));
const guides = ['scaling', 'deploy']
  .map((name) => readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8'))
  .join();

let folder: string;
let tokens: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'granary-examples-'));
  tokens = join(folder, 'tokens');
  writeFileSync(tokens, 'ci:0123456789abcdef:write\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the example configurations', () => {
  it.each(files)('%s is right, and a guide names it', async (name) => {
    const file = deployed(`examples/${name}`);
    expect(await checkConfig(readFileSync(file, 'utf8'), tokens)).toEqual({
      exitCode: 0,
      said: 'The configuration is right.\n',
    });
    expect(guides).toContain(`deploy/examples/${name}`);
  });

  it('would be seen to be wrong', async () => {
    const text = readFileSync(deployed('examples/shared-bucket.yaml'), 'utf8').replace(
      'bucket: build',
      'bukket: build',
    );
    const { exitCode, said } = await checkConfig(text, tokens);
    expect(exitCode).toBe(2);
    expect(said).toContain('bukket');
  });
});
