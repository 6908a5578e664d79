// The dashboard: what somebody who is called at night asks comes first, what few ever open comes last.
import { of } from './expressions.mjs';
import { DATASOURCE } from './panels.mjs';
import { place } from './place.mjs';
import { circuits } from './rows/circuits.mjs';
import { disk } from './rows/disk.mjs';
import { errors } from './rows/errors.mjs';
import { grpc } from './rows/grpc.mjs';
import { hits } from './rows/hits.mjs';
import { latency } from './rows/latency.mjs';
import { node } from './rows/node.mjs';
import { nuget } from './rows/nuget.mjs';
import { overview } from './rows/overview.mjs';
import { upstreams } from './rows/upstreams.mjs';

/** Every server has the first; a program with a cache chain, and without a server, the second. */
const ANY = '__name__=~"granary_build_info|granary_chain_gets_total"';

/** The dashboard, in Grafana's classic model. */
export const dashboard = {
  uid: 'granary',
  title: 'Granary',
  description: 'Whether Granary helps, what is slow, and which tier or upstream is to blame.',
  tags: ['granary', 'cache', 'builds'],
  schemaVersion: 42,
  version: 1,
  editable: true,
  graphTooltip: 1,
  refresh: '30s',
  time: { from: 'now-6h', to: 'now' },
  timezone: 'browser',
  fiscalYearStartMonth: 0,
  weekStart: '',
  liveNow: false,
  annotations: {
    list: [
      {
        name: 'Starts',
        datasource: DATASOURCE,
        enable: true,
        hide: false,
        iconColor: 'blue',
        expr: `time() - ${of('granary_process_start_time_seconds')} < 60`,
        titleFormat: '{{instance}} started',
      },
    ],
  },
  links: [],
  templating: {
    list: [
      {
        name: 'datasource',
        label: 'Prometheus',
        description: 'Where the metrics are.',
        type: 'datasource',
        query: 'prometheus',
        current: {},
        includeAll: false,
        multi: false,
        refresh: 1,
        regex: '',
        options: [],
        hide: 0,
        skipUrlSync: false,
      },
      labelVariable('job', 'Job', `label_values({${ANY}}, job)`, 'Scrape jobs of Granary.'),
      labelVariable(
        'instance',
        'Server',
        `label_values({${ANY},job=~"$job"}, instance)`,
        'Servers of the chosen jobs.',
      ),
    ],
  },
  panels: place([overview, hits, latency, circuits, errors, disk, upstreams, grpc, node, nuget]),
};

/** A list at the top of the dashboard, filled with a label's values. */
function labelVariable(name, label, query, description) {
  return {
    name,
    label,
    description,
    type: 'query',
    datasource: DATASOURCE,
    definition: query,
    query: { qryType: 1, query, refId: `variable-${name}` },
    current: { selected: true, text: ['All'], value: ['$__all'] },
    includeAll: true,
    multi: true,
    refresh: 2,
    sort: 1,
    regex: '',
    options: [],
    hide: 0,
    skipUrlSync: false,
  };
}
