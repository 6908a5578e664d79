import { of, quantiles, rate, ratio, sum } from '../expressions.mjs';
import { BAD_WHEN_HIGH, lines, timeline } from '../panels.mjs';

const LOOKUPS = 'granary_nuget_proxy_lookups_total';
const hitRatio = (kind) =>
  ratio(
    sum(rate(LOOKUPS, `kind="${kind}",result=~"hit|stale"`), 'source'),
    sum(rate(LOOKUPS, `kind="${kind}",result=~"hit|stale|revalidated|miss"`), 'source'),
  );
const requests = (labels) => sum(rate('granary_http_server_requests_total', `route=~"nuget_.+"${labels}`), 'instance');

export const nuget = {
  title: 'NuGet feeds',
  collapsed: true,
  panels: [
    timeline(
      'Sources',
      'What could not be asked is answered from what was seen; of several servers, the worst.',
      [{ expr: `max by (source) (${of('granary_nuget_proxy_source_health')})`, legend: '{{source}}' }],
      {
        0: ['well', 'green'],
        1: ['slow or limiting', 'orange'],
        2: ['failing', 'red'],
        3: ['offline, as configured', 'blue'],
      },
    ),
    lines(
      'Bytes saved',
      'Of packages that were given from here instead of by their source.',
      [{ expr: sum(rate('granary_nuget_proxy_saved_bytes_total'), 'source'), legend: '{{source}}' }],
      { unit: 'Bps', stacked: true },
    ),
    lines(
      'Packages: hit rate',
      'Of the packages that a source has.',
      [{ expr: hitRatio('package'), legend: '{{source}}' }],
      { unit: 'percentunit', max: 1, width: 8 },
    ),
    lines(
      'Metadata: hit rate',
      'Lists of versions, registrations, searches: answered without asking the source anything.',
      [{ expr: hitRatio('metadata'), legend: '{{source}}' }],
      { unit: 'percentunit', max: 1, width: 8 },
    ),
    lines(
      'Look-ups',
      'Stale: the source failed or took too long; revalidated: nothing had changed.',
      [{ expr: sum(rate(LOOKUPS), 'source, kind, result'), legend: '{{source}} {{kind}} {{result}}' }],
      { unit: 'ops', width: 8, stacked: true },
    ),
    lines(
      'Failed requests',
      'Of clients, by server: 503 for what was never seen of a source that can not be asked, 502 for what makes no sense.',
      [{ expr: ratio(`(${requests(',code=~"5.."')} or 0 * ${requests('')})`, requests('')), legend: '{{instance}}' }],
      { unit: 'percentunit', max: 1, width: 8, thresholds: BAD_WHEN_HIGH },
    ),
    lines(
      'Packages on their way',
      'From their sources.',
      [{ expr: sum(of('granary_nuget_proxy_arriving_packages'), 'instance'), legend: '{{instance}}' }],
      { width: 8 },
    ),
    lines(
      'Packages that are never evicted',
      'Those of nuget.keep, and those that were pushed here.',
      [{ expr: sum(of('granary_nuget_proxy_kept_bytes'), 'instance'), legend: '{{instance}}' }],
      { unit: 'bytes', width: 8 },
    ),
    lines(
      'Downloads',
      'Of packages from sources, by how they ended.',
      [{ expr: sum(rate('granary_package_downloads_total'), 'status'), legend: '{{status}}' }],
      { unit: 'ops' },
    ),
    lines('Downloads: durations', 'Until verified.', quantiles('granary_package_download_duration_seconds'), {
      unit: 's',
    }),
    lines(
      'Client: hit rate',
      'Of programs with the NuGet client, by what is cached.',
      [
        {
          expr: ratio(
            sum(rate('granary_cache_hits_total'), 'cache_type'),
            `(${sum(rate('granary_cache_hits_total'), 'cache_type')} + ${sum(rate('granary_cache_misses_total'), 'cache_type')})`,
          ),
          legend: '{{cache_type}}',
        },
      ],
      { unit: 'percentunit', max: 1 },
    ),
    lines('Client: caches', 'By tier.', [{ expr: sum(of('granary_cache_size_bytes'), 'tier'), legend: '{{tier}}' }], {
      unit: 'bytes',
    }),
  ],
};
