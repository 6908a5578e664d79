import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelControl, loggerFor } from '@granary/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../config/load.js';
import { reloadLogLevel } from './reload-level.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'granary-level-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('reading the level of the log again', () => {
  it('takes it from the file as it is now', async () => {
    const file = join(directory, 'granary.yaml');
    const logger = loggerFor({ write: () => {} });
    const control = new LevelControl(logger, { setTimeout: () => 1, clearTimeout: () => {} });
    const load = async () => (await loadConfig({ file })).config;
    await writeFile(file, 'telemetry:\n  log_level: warn\n');
    expect(await reloadLogLevel(load, control)).toBe('warning');
    control.set('verbose', 60_000);
    await writeFile(file, 'telemetry:\n  log_level: debug\n');
    expect(await reloadLogLevel(load, control)).toBe('debug');
    expect([logger.level, control.levelAfterwards]).toEqual(['debug', undefined]);
  });

  it('changes nothing when the file is wrong', async () => {
    const file = join(directory, 'granary.yaml');
    const logger = loggerFor({ write: () => {} });
    const control = new LevelControl(logger, { setTimeout: () => 1, clearTimeout: () => {} });
    await writeFile(file, 'telemetry:\n  log_level: loud\n');
    await expect(reloadLogLevel(async () => (await loadConfig({ file })).config, control)).rejects.toThrow(/log_level/);
    expect(logger.level).toBe('information');
  });
});
