import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isInstalled, runCommand } from '../command.js';
import { deployed, type Panel, readDashboard, readRules, shownPanels } from './deployed-files.js';

const dashboard = readDashboard();
const guide = readFileSync(new URL('../../docs/monitoring.md', import.meta.url), 'utf8');

describe('the dashboard', () => {
  it('is what its source describes', async () => {
    const { exitCode, output } = await runCommand(process.execPath, [deployed('grafana/generate.mjs'), '--check'], {
      cwd: '.',
    });
    expect(output).toBe('');
    expect(exitCode).toBe(0);
  });

  it('has no panel over another or beyond the edge', () => {
    const rows = dashboard.panels.filter(({ type }) => type === 'row');
    for (const panels of [dashboard.panels, ...rows.map((row) => row.panels ?? [])]) {
      for (const [i, a] of panels.entries()) {
        expect(a.gridPos.x + a.gridPos.w, a.title).toBeLessThanOrEqual(24);
        for (const b of panels.slice(i + 1)) expect(overlap(a, b), `${a.title} over ${b.title}`).toBe(false);
      }
    }
    expect(rows.length).toBeGreaterThan(5);
  });

  it('has an id of its own for every panel', () => {
    const ids = dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('says of every panel what it shows, and names its lines', () => {
    for (const { title, type, description, targets, fieldConfig } of shownPanels(dashboard)) {
      expect(title).not.toBe('');
      expect(description, title).toBeTruthy();
      expect(targets?.length, title).toBeGreaterThan(0);
      expect(new Set(targets?.map(({ refId }) => refId)).size, title).toBe(targets?.length);
      if (type === 'timeseries') expect(fieldConfig?.defaults.unit, title).toBeTruthy();
      if (type === 'timeseries' || type === 'state-timeline') {
        for (const { legendFormat } of targets ?? []) expect(legendFormat ?? title, title).toBeTruthy();
      }
    }
  });

  it('asks only for the servers that are chosen', () => {
    for (const { title, targets } of shownPanels(dashboard)) {
      for (const { expr } of targets ?? []) {
        const families = expr.match(/\bgranary_\w+/g)?.length ?? 0;
        expect(expr.split('{job=~"$job",instance=~"$instance"').length - 1, title).toBeGreaterThanOrEqual(families);
      }
    }
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource', 'job', 'instance']);
  });
});

describe('the rules', () => {
  const alerts = [...readRules().matchAll(/- alert: (\w+)/g)].map(([, name]) => name as string);

  it('have a chapter in the guide for each alert, and the guide has none too many', () => {
    expect([...guide.matchAll(/^### (Granary\w+)$/gm)].map(([, name]) => name).sort()).toEqual([...alerts].sort());
    for (const name of alerts) expect(readRules()).toContain(`runbook: docs/monitoring.md#${name.toLowerCase()}\n`);
  });

  it('are each shown to fire and not to fire', () => {
    const cases = readFileSync(deployed('prometheus/rules.test.yaml'), 'utf8');
    for (const name of alerts) {
      expect(cases).toContain(`alertname: ${name}, exp_alerts: [] }`);
      expect(cases).toMatch(new RegExp(`alertname: ${name}\\n\\s+exp_alerts:\\n\\s+- exp_labels`));
    }
  });
});

const missing = !(await isInstalled('promtool'));
if (missing) console.log('Skipped: rules by promtool, because promtool is not installed.');

describe.skipIf(missing)('promtool', () => {
  const promtool = (...args: string[]) => runCommand('promtool', args, { cwd: deployed('prometheus') });

  it.each([
    ['finds nothing wrong with the rules', ['check', 'rules', 'rules.yaml']],
    ['sees every alert fire when it should, and only then', ['test', 'rules', 'rules.test.yaml']],
    ['accepts the example of a configuration', ['check', 'config', 'prometheus.yaml']],
  ])('%s', async (_, args) => {
    const { exitCode, output } = await promtool(...args);
    expect(output).not.toMatch(/FAILED|WARNING/);
    expect(exitCode, output).toBe(0);
  });
});

function overlap({ gridPos: a }: Panel, { gridPos: b }: Panel): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}
