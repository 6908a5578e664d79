import { rate, sum } from '../expressions.mjs';
import { lines } from '../panels.mjs';

export const errors = {
  title: 'Errors',
  panels: [
    lines(
      'gRPC calls that did not end well',
      'NOT_FOUND is a miss and not shown.',
      [
        {
          expr: sum(rate('granary_grpc_requests_total', 'code!~"OK|NOT_FOUND"'), 'method, code'),
          legend: '{{method}} {{code}}',
        },
      ],
      { unit: 'reqps' },
    ),
    lines(
      'HTTP requests that did not end well',
      '404 is a miss and not shown.',
      [
        {
          expr: sum(rate('granary_http_server_requests_total', 'code=~"[45]..",code!="404"'), 'method, route, code'),
          legend: '{{method}} {{route}} {{code}}',
        },
      ],
      { unit: 'reqps' },
    ),
    lines(
      'Tiers',
      'Operations of a tier that failed, a second.',
      [
        {
          expr: sum(rate('granary_cache_requests_total', 'status="error"'), 'tier, method'),
          legend: '{{tier}} {{method}}',
        },
      ],
      { unit: 'ops', width: 8 },
    ),
    lines(
      'Layers, by type',
      'Operations of a layer that failed, a second.',
      [
        {
          expr: sum(rate('granary_errors_total'), 'layer, operation, error_type'),
          legend: '{{layer}} {{operation}} {{error_type}}',
        },
      ],
      { unit: 'ops', width: 8 },
    ),
    lines(
      'Refused',
      'Requests a second that were refused for who sent them.',
      [{ expr: sum(rate('granary_auth_refusals_total'), 'reason'), legend: '{{reason}}' }],
      { unit: 'reqps', width: 8 },
    ),
  ],
};
