import { of, quantiles, rate, sum } from '../expressions.mjs';
import { lines } from '../panels.mjs';

export const disk = {
  title: 'Disk',
  panels: [
    lines(
      'Store',
      'What the store takes, what it may take, and what is free on its file system.',
      [
        { expr: sum(of('granary_disk_usage_bytes'), 'instance'), legend: '{{instance}} used' },
        { expr: sum(of('granary_disk_limit_bytes'), 'instance'), legend: '{{instance}} limit' },
        { expr: sum(of('granary_disk_free_bytes'), 'instance'), legend: '{{instance}} free' },
        { expr: sum(of('granary_disk_reserved_bytes'), 'instance'), legend: '{{instance}} set aside for uploads' },
      ],
      { unit: 'bytes' },
    ),
    lines(
      'Idle time of what is evicted',
      'How long the entry evicted last had not been used: shorter than a working day means too small a store. 0: nothing was evicted.',
      [{ expr: sum(of('granary_longest_item_idle_seconds'), 'instance'), legend: '{{instance}}' }],
      {
        unit: 's',
        thresholds: [
          [null, 'red'],
          [28800, 'green'],
        ],
      },
    ),
    lines(
      'Evictions',
      'Blobs and action results a second.',
      [{ expr: sum(rate('granary_janitor_evictions_total'), 'instance'), legend: '{{instance}}' }],
      { unit: 'ops', width: 8 },
    ),
    lines(
      'Evicted and written',
      'A store that evicts as much as is written is full.',
      [
        { expr: sum(rate('granary_janitor_evicted_bytes_total'), 'instance'), legend: '{{instance}} evicted' },
        {
          expr: sum(rate('granary_blob_size_bytes_sum', 'method="write"'), 'instance'),
          legend: '{{instance}} written',
        },
      ],
      { unit: 'Bps', width: 8 },
    ),
    lines(
      'Entries',
      'What the store holds, and what was found damaged since the start and put aside.',
      [
        { expr: sum(of('granary_blobs'), 'instance'), legend: '{{instance}} blobs' },
        { expr: sum(of('granary_action_results'), 'instance'), legend: '{{instance}} action results' },
        { expr: sum(of('granary_quarantined'), 'instance'), legend: '{{instance}} damaged' },
      ],
      { width: 8 },
    ),
    lines('Sizes of blobs', 'Read and written.', quantiles('granary_blob_size_bytes', 'method'), {
      unit: 'bytes',
      width: 24,
    }),
  ],
};
