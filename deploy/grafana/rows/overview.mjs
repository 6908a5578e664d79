import { CHOSEN, grown, of, quantile, rate, ratio, sum, sumOrZero } from '../expressions.mjs';
import { BAD_WHEN_HIGH, lines, stat, timeline } from '../panels.mjs';
import {
  actionHitRatio,
  allBytes,
  BLOB_READ,
  blobHitRatio,
  GRPC_FAULT,
  grpcRequests,
  HTTP_FAULT,
  httpRequests,
} from '../server-expressions.mjs';

const GOOD_WHEN_HIGH = [
  [null, 'red'],
  [0.3, 'orange'],
  [0.6, 'green'],
];

export const overview = {
  title: 'Does it help, is it well?',
  panels: [
    stat(
      'Servers down',
      'Targets that Prometheus cannot scrape.',
      { expr: `count(up{${CHOSEN}} == 0) or vector(0)` },
      { thresholds: [[1, 'red']] },
    ),
    stat(
      'Alerts',
      'Alerts of deploy/prometheus/rules.yaml that fire. Always 0 where those are not loaded.',
      { expr: 'count(ALERTS{alertname=~"Granary.*",alertstate="firing"}) or vector(0)' },
      { thresholds: [[1, 'red']] },
    ),
    stat(
      'Actions from the cache',
      'Lookups of action results that were answered with one: actions that nobody had to run.',
      { expr: actionHitRatio },
      { unit: 'percentunit', decimals: 1, max: 1, thresholds: GOOD_WHEN_HIGH },
    ),
    stat(
      'Failed requests',
      'gRPC calls and HTTP requests that ended with an error of the server, of all.',
      {
        expr: ratio(
          `(${grpcRequests(GRPC_FAULT)} + ${httpRequests(HTTP_FAULT)})`,
          `(${grpcRequests()} + ${httpRequests()})`,
        ),
      },
      { unit: 'percentunit', decimals: 2, max: 1, thresholds: BAD_WHEN_HIGH },
    ),
    stat(
      'Requests',
      'gRPC calls and HTTP requests a second.',
      { expr: `${grpcRequests()} + ${httpRequests()}` },
      { unit: 'reqps' },
    ),
    stat(
      'Served',
      'Bytes sent to clients over the time that is shown, as they went over the wire: perhaps compressed.',
      { expr: allBytes('sent', grown) },
      { unit: 'bytes', sparkline: false },
    ),
    stat(
      'Saved',
      'Bytes of blobs that came from the store over the time that is shown: nobody made or downloaded them again.',
      { expr: sumOrZero(grown('granary_blob_size_bytes_sum', BLOB_READ)) },
      { unit: 'bytes', sparkline: false },
    ),
    stat(
      'Store',
      'How full the fullest store is. Full is well: it evicts what was used longest ago.',
      { expr: `max(${of('granary_disk_usage_bytes')} / ${of('granary_disk_limit_bytes')})` },
      { unit: 'percentunit', decimals: 0, max: 1 },
    ),
    lines(
      'Hit rate',
      'A fall after a release of a tool or a change of flags is a cold cache; one without either is worth a look.',
      [
        { expr: actionHitRatio, legend: 'action results' },
        { expr: blobHitRatio('tier'), legend: 'blobs: {{tier}}' },
      ],
      { unit: 'percentunit', max: 1, width: 8 },
    ),
    lines(
      'Requests',
      'gRPC calls and HTTP requests a second.',
      [
        { expr: sum(rate('granary_grpc_requests_total'), 'method'), legend: 'gRPC {{method}}' },
        {
          expr: sum(rate('granary_http_server_requests_total'), 'route, method'),
          legend: 'HTTP {{method}} {{route}}',
        },
      ],
      { unit: 'reqps', width: 8, stacked: true },
    ),
    lines(
      'Slowest calls: p99',
      'Of what a build waits for. How long Read and Write take depends on sizes and networks.',
      [
        {
          expr: quantile(0.99, 'granary_grpc_request_duration_seconds', 'method', 'method!~"Read|Write|Watch"'),
          legend: 'gRPC {{method}}',
        },
        {
          expr: quantile(0.99, 'granary_cache_latency_seconds', 'tier, method', 'method=~"find|get"'),
          legend: 'tier {{tier}} {{method}}',
        },
      ],
      { unit: 's', width: 8, thresholds: [[1, 'red']] },
    ),
    timeline(
      'Health',
      'Named checks: a degraded one is no reason to send builds elsewhere, an unhealthy one is.',
      [{ expr: `max by (instance, check) (${of('granary_health_status')})`, legend: '{{instance}} {{check}}' }],
      { 0: ['healthy', 'green'], 1: ['degraded', 'orange'], 2: ['unhealthy', 'red'] },
      { height: 6 },
    ),
    lines(
      'Bytes',
      'Sent to clients and received from them; from the store, before compression.',
      [
        { expr: allBytes('sent', rate), legend: 'served' },
        { expr: allBytes('received', rate), legend: 'uploaded' },
        { expr: sumOrZero(rate('granary_blob_size_bytes_sum', BLOB_READ)), legend: 'saved: blobs from the store' },
      ],
      { unit: 'Bps', height: 6 },
    ),
  ],
};
