import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isInstalled, runCommand } from '../command.js';
import { deployed } from '../prometheus/deployed-files.js';

const unit = readFileSync(deployed('systemd/granary.service'), 'utf8');
const example = readFileSync(new URL('../../granary.example.yaml', import.meta.url), 'utf8');
const setting = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1];

describe('the unit', () => {
  it('waits longer for the end than the server gives its requests', () => {
    const grace = Number(/^ {2}grace: (\d+)s$/m.exec(example)?.[1]);
    expect(grace).toBeGreaterThan(0);
    expect(Number.parseInt(setting('TimeoutStopSec') ?? '', 10)).toBeGreaterThanOrEqual(grace + 10);
  });

  it('does not start again what is configured wrong', () => {
    expect(setting('Restart')).toBe('on-failure');
    expect(setting('RestartPreventExitStatus')).toBe('2');
  });

  it('runs as the user that sysusers makes', () => {
    expect(readFileSync(deployed('systemd/granary.sysusers.conf'), 'utf8')).toMatch(
      new RegExp(`^u ${setting('User')} - `, 'm'),
    );
  });

  it('stores where systemd makes a folder for it', () => {
    expect(unit).toContain(`Environment=GRANARY_STORAGE_DIR=%S/${setting('StateDirectory')}\n`);
  });
});

const missing = !(await isInstalled('systemd-analyze'));
if (missing) console.log('Skipped: the unit by systemd-analyze, because systemd is not installed.');

describe.skipIf(missing)('systemd-analyze', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'granary-systemd-'));
    // The program that the unit starts has to be there: this runtime stands for the installed one.
    writeFileSync(
      join(folder, 'granary.service'),
      unit.replace('ExecStart=/usr/bin/node', `ExecStart=${process.execPath}`),
    );
    mkdirSync(join(folder, 'granary.service.d'));
    cpSync(deployed('systemd/credentials.conf'), join(folder, 'granary.service.d/credentials.conf'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('finds nothing wrong', async () => {
    const { exitCode, output } = await runCommand('systemd-analyze', ['verify', './granary.service'], { cwd: folder });
    // Other units of the machine may have mistakes of their own.
    expect(output.split('\n').filter((line) => line.includes('granary'))).toEqual([]);
    expect(exitCode).toBe(0);
  });

  it('thinks little is left to be attacked', async () => {
    const args = ['security', '--offline=yes', '--threshold=15', './granary.service'];
    const { exitCode, output } = await runCommand('systemd-analyze', args, { cwd: folder });
    expect(exitCode, output).toBe(0);
    expect(output).toMatch(/exposure level for granary.service: \d\.\d OK/);
  });
});
