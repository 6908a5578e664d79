// Panels in the shape of Grafana's classic dashboard model. What they show is in rows/.
// Each takes a title, what it tells, its queries ({ expr, legend }), and what differs from the usual.

export const DATASOURCE = { type: 'prometheus', uid: '$datasource' };

/** Thresholds of a share of failures. */
export const BAD_WHEN_HIGH = [
  [0.01, 'orange'],
  [0.05, 'red'],
];

/** Lines over time. */
export function lines(title, description, queries, { unit = 'short', width = 12, height = 8, ...more } = {}) {
  const { stacked = false, thresholds, max, min = 0, overrides = [] } = more;
  return panel(
    'timeseries',
    title,
    description,
    queries,
    { width, height },
    {
      fieldConfig: {
        defaults: {
          unit,
          ...(min !== null && { min }),
          ...(max !== undefined && { max }),
          color: { mode: 'palette-classic' },
          custom: {
            drawStyle: 'line',
            lineWidth: 1,
            fillOpacity: stacked ? 30 : 8,
            showPoints: 'never',
            spanNulls: false,
            stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
            thresholdsStyle: { mode: thresholds ? 'dashed' : 'off' },
          },
          thresholds: steps(thresholds),
        },
        overrides,
      },
      options: {
        legend: { displayMode: 'table', placement: 'bottom', showLegend: true, calcs: ['mean', 'max', 'lastNotNull'] },
        tooltip: { mode: 'multi', sort: 'desc' },
      },
    },
  );
}

/** One number that is read from afar. */
export function stat(title, description, query, { unit = 'short', width = 3, height = 4, ...more } = {}) {
  const { thresholds, decimals, mappings = [], max } = more;
  const sparkline = more.sparkline ?? true;
  return panel(
    'stat',
    title,
    description,
    [query],
    { width, height },
    {
      fieldConfig: {
        defaults: {
          unit,
          ...(decimals !== undefined && { decimals }),
          ...(max !== undefined && { min: 0, max }),
          color: { mode: thresholds ? 'thresholds' : 'fixed', ...(!thresholds && { fixedColor: 'text' }) },
          mappings,
          thresholds: steps(thresholds),
        },
        overrides: [],
      },
      options: {
        colorMode: 'value',
        graphMode: sparkline ? 'area' : 'none',
        justifyMode: 'auto',
        orientation: 'auto',
        reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
        textMode: 'value',
      },
    },
  );
}

/** States over time, as bars whose colours and words `states` gives: { value: [word, colour] }. */
export function timeline(title, description, queries, states, { width = 12, height = 8 } = {}) {
  const options = Object.fromEntries(
    Object.entries(states).map(([value, [text, color]], index) => [value, { text, color, index }]),
  );
  return panel(
    'state-timeline',
    title,
    description,
    queries,
    { width, height },
    {
      fieldConfig: {
        defaults: {
          color: { mode: 'thresholds' },
          custom: { fillOpacity: 80, lineWidth: 0, spanNulls: false },
          mappings: [{ type: 'value', options }],
          thresholds: steps(undefined),
        },
        overrides: [],
      },
      options: {
        alignValue: 'center',
        legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
        mergeValues: true,
        rowHeight: 0.9,
        showValue: 'auto',
        tooltip: { mode: 'single', sort: 'none' },
      },
    },
  );
}

/** The labels of each series as a table. */
export function table(title, description, query, columns, { width = 12, height = 8 } = {}) {
  return panel(
    'table',
    title,
    description,
    [{ ...query, table: true }],
    { width, height },
    {
      fieldConfig: { defaults: { custom: { align: 'auto' }, thresholds: steps(undefined) }, overrides: [] },
      options: { showHeader: true },
      transformations: [{ id: 'filterFieldsByName', options: { include: { names: columns } } }],
    },
  );
}

/** `[[from, colour], …]`, rising; what is below the first is green unless the first begins at null. */
function steps(thresholds) {
  const given = (thresholds ?? []).map(([value, color]) => ({ color, value }));
  return { mode: 'absolute', steps: given[0]?.value === null ? given : [{ color: 'green', value: null }, ...given] };
}

function panel(type, title, description, queries, size, rest) {
  const targets = queries.map(({ expr, legend, table: asTable }, i) => ({
    datasource: DATASOURCE,
    editorMode: 'code',
    expr,
    ...(asTable ? { format: 'table', instant: true } : { range: true }),
    ...(legend !== undefined && { legendFormat: legend }),
    refId: String.fromCharCode(65 + i),
  }));
  return { size, type, title, description, datasource: DATASOURCE, targets, ...rest };
}

/** p50, p95 and p99 side by side, each with one line a series. */
export const threeQuantiles = (what, description, queriesOf) =>
  [0.5, 0.95, 0.99].map((q) => lines(`${what}: p${q * 100}`, description, queriesOf(q), { unit: 's', width: 8 }));
