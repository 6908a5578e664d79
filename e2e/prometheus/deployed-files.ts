import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Path of a file in deploy/. */
export const deployed = (path: string) => fileURLToPath(new URL(`../../deploy/${path}`, import.meta.url));

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly collapsed?: boolean;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  /** Of a collapsed row. */
  readonly panels?: readonly Panel[];
  readonly targets?: readonly { readonly expr: string; readonly legendFormat?: string; readonly refId: string }[];
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
}

export interface Dashboard {
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
}

export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync(deployed('grafana/granary.json'), 'utf8')) as Dashboard;
}

/** All panels that show something, those in collapsed rows too. */
export function shownPanels({ panels }: Dashboard): Panel[] {
  return panels.flatMap((panel) => (panel.type === 'row' ? (panel.panels ?? []) : [panel]));
}

/** An expression as Grafana sends it, with everything chosen. */
export function interpolated(expression: string): string {
  return expression
    .replaceAll('$__rate_interval', '1m')
    .replaceAll('$__interval', '1m')
    .replaceAll('$__range', '5m')
    .replaceAll('$job', 'granary')
    .replaceAll('$instance', '.+');
}

export const readRules = () => readFileSync(deployed('prometheus/rules.yaml'), 'utf8');
