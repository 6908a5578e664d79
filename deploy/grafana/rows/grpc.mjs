import { of, rate, sum } from '../expressions.mjs';
import { lines } from '../panels.mjs';

export const grpc = {
  title: 'gRPC',
  collapsed: true,
  panels: [
    lines(
      'Calls',
      'By how they ended.',
      [{ expr: sum(rate('granary_grpc_requests_total'), 'service, method, code'), legend: '{{method}} {{code}}' }],
      { unit: 'reqps', width: 24 },
    ),
    lines(
      'Bytes',
      'Of messages.',
      [
        {
          expr: sum(rate('granary_grpc_bytes_total'), 'method, direction'),
          legend: '{{method}} {{direction}}',
        },
      ],
      { unit: 'Bps', width: 8 },
    ),
    lines(
      'Connections',
      'Open ones.',
      [{ expr: sum(of('granary_grpc_connections'), 'instance'), legend: '{{instance}}' }],
      { width: 8 },
    ),
    lines(
      'Streams',
      'Calls under way.',
      [{ expr: sum(of('granary_grpc_streams'), 'instance'), legend: '{{instance}}' }],
      { width: 8 },
    ),
  ],
};
