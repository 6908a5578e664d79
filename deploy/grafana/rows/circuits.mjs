import { of, rate, sum } from '../expressions.mjs';
import { lines, timeline } from '../panels.mjs';

const CIRCUIT = { 0: ['closed', 'green'], 1: ['open', 'red'], 2: ['half-open', 'orange'] };

export const circuits = {
  title: 'Circuits, queues and dropped writes',
  panels: [
    timeline(
      'Circuits of layers',
      'An open circuit lets no calls through; half-open, it tries a few.',
      [{ expr: `max by (layer) (${of('granary_circuit_state')})`, legend: '{{layer}}' }],
      CIRCUIT,
    ),
    timeline(
      'Circuits of upstream hosts',
      'An open circuit lets no calls through; half-open, it tries a few.',
      [{ expr: `max by (host) (${of('granary_circuit_breaker_state')})`, legend: '{{host}}' }],
      CIRCUIT,
    ),
    lines(
      'Queue depth',
      'Writes that wait or are under way. Up and down is well; ever up is a layer too slow for what it is given.',
      [{ expr: `max by (instance, layer) (${of('granary_queue_depth')})`, legend: '{{instance}} {{layer}}' }],
      { width: 8, thresholds: [[1000, 'red']] },
    ),
    lines(
      'Writes dropped',
      'Writes a second for which the queue had no room.',
      [{ expr: sum(rate('granary_writes_dropped_total'), 'layer'), legend: '{{layer}}' }],
      { unit: 'wps', width: 8 },
    ),
    lines(
      'Writes in the background',
      'By their outcome.',
      [{ expr: sum(rate('granary_async_writes_total'), 'layer, status'), legend: '{{layer}} {{status}}' }],
      { unit: 'wps', width: 8 },
    ),
    lines('Circuits opened', 'Times within the interval.', [
      {
        expr: sum(`increase(${of('granary_circuit_opens_total')}[$__rate_interval])`, 'layer'),
        legend: 'layer {{layer}}',
      },
    ]),
    lines(
      'Failures that circuits counted',
      'Calls to a host that failed, a second.',
      [{ expr: sum(rate('granary_circuit_breaker_failures_total'), 'host'), legend: '{{host}}' }],
      { unit: 'ops' },
    ),
  ],
};
