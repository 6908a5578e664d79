import { quantile, quantiles } from '../expressions.mjs';
import { lines, threeQuantiles } from '../panels.mjs';

export const latency = {
  title: 'What is slow?',
  panels: [
    ...threeQuantiles(
      'Server',
      'From a request to its answer. Where this is slow and no tier is, look at the event loop and the network.',
      (q) => [
        { expr: quantile(q, 'granary_grpc_request_duration_seconds', 'method'), legend: 'gRPC {{method}}' },
        {
          expr: quantile(q, 'granary_http_server_request_duration_seconds', 'route, method'),
          legend: 'HTTP {{method}} {{route}}',
        },
      ],
    ),
    ...threeQuantiles('Tiers', 'Operations of a tier. A read lasts until the client has taken its last byte.', (q) => [
      { expr: quantile(q, 'granary_cache_latency_seconds', 'tier, method'), legend: '{{tier}} {{method}}' },
    ]),
    ...threeQuantiles('Layers', 'Operations of a layer of a cache chain.', (q) => [
      {
        expr: quantile(q, 'granary_operation_duration_seconds', 'layer, operation'),
        legend: '{{layer}} {{operation}}',
      },
    ]),
    lines(
      'Cache chain: gets',
      'A get through all layers, loads included.',
      quantiles('granary_chain_get_duration_seconds'),
      {
        unit: 's',
      },
    ),
    lines(
      'Upstreams: p95',
      'Calls to upstreams, with their retries and bodies.',
      [{ expr: quantile(0.95, 'granary_http_request_duration_seconds', 'source'), legend: '{{source}}' }],
      { unit: 's' },
    ),
  ],
};
