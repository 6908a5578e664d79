import { of, quantiles, rate, ratio, sum } from '../expressions.mjs';
import { lines } from '../panels.mjs';

export const nuget = {
  title: 'NuGet',
  collapsed: true,
  panels: [
    lines(
      'Hit rate',
      'By what is cached.',
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
    lines('Size', 'By tier.', [{ expr: sum(of('granary_cache_size_bytes'), 'tier'), legend: '{{tier}}' }], {
      unit: 'bytes',
    }),
    lines(
      'Downloads of packages',
      'From upstream feeds, by how they ended.',
      [{ expr: sum(rate('granary_package_downloads_total'), 'status'), legend: '{{status}}' }],
      { unit: 'ops' },
    ),
    lines(
      'Downloads of packages: durations',
      'From upstream feeds.',
      quantiles('granary_package_download_duration_seconds'),
      { unit: 's' },
    ),
  ],
};
