import { of, rate, sum } from '../expressions.mjs';
import { lines, table } from '../panels.mjs';

export const node = {
  title: 'Node and process',
  collapsed: true,
  panels: [
    lines(
      'Event loop: delay',
      'How late its turns are: every request waits that long.',
      [
        { expr: of('granary_nodejs_eventloop_delay_p50_seconds'), legend: '{{instance}} p50' },
        { expr: of('granary_nodejs_eventloop_delay_p99_seconds'), legend: '{{instance}} p99' },
      ],
      { unit: 's', width: 8, thresholds: [[0.25, 'red']] },
    ),
    lines(
      'Event loop: utilization',
      'Share of the time that it is busy. Near 100 % everything waits for it.',
      [{ expr: of('granary_nodejs_eventloop_utilization_ratio'), legend: '{{instance}}' }],
      { unit: 'percentunit', max: 1, width: 8, thresholds: [[0.9, 'red']] },
    ),
    lines(
      'CPU',
      'Cores in use. The event loop is one; hashing and compression use others.',
      [
        { expr: rate('granary_process_cpu_user_seconds_total'), legend: '{{instance}} user' },
        { expr: rate('granary_process_cpu_system_seconds_total'), legend: '{{instance}} system' },
      ],
      { width: 8 },
    ),
    lines(
      'Memory',
      'Of the process, and of the heap of JavaScript in it.',
      [
        { expr: of('granary_process_resident_memory_bytes'), legend: '{{instance}} resident' },
        { expr: of('granary_nodejs_heap_size_used_bytes'), legend: '{{instance}} heap used' },
        { expr: of('granary_nodejs_heap_size_total_bytes'), legend: '{{instance}} heap' },
        { expr: of('granary_nodejs_external_memory_bytes'), legend: '{{instance}} buffers' },
      ],
      { unit: 'bytes', width: 8 },
    ),
    lines(
      'Garbage collection',
      'Share of the time, by kind.',
      [
        {
          expr: sum(rate('granary_nodejs_gc_duration_seconds_sum'), 'instance, kind'),
          legend: '{{instance}} {{kind}}',
        },
      ],
      { unit: 'percentunit', width: 8 },
    ),
    lines(
      'Open files',
      'Sockets included, and how many there may be.',
      [
        { expr: of('granary_process_open_fds'), legend: '{{instance}} open' },
        { expr: of('granary_process_max_fds'), legend: '{{instance}} limit' },
      ],
      { width: 8 },
    ),
    lines(
      'Time since the start',
      'A line that falls to 0 is a restart.',
      [{ expr: `time() - ${of('granary_process_start_time_seconds')}`, legend: '{{instance}}' }],
      { unit: 's', width: 8 },
    ),
    table(
      'What runs',
      'Versions of Granary and of Node.',
      { expr: of('granary_build_info') },
      ['job', 'instance', 'version', 'node'],
      { width: 16 },
    ),
  ],
};
