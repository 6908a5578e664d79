import { of, quantile, rate, ratio, sum } from '../expressions.mjs';
import { BAD_WHEN_HIGH, lines, threeQuantiles } from '../panels.mjs';

const all = sum(rate('granary_http_requests_total'), 'source');
const failed = sum(rate('granary_http_requests_total', 'status_code=~"5..|error"'), 'source');

export const upstreams = {
  title: 'Upstreams',
  collapsed: true,
  panels: [
    lines(
      'Failed calls',
      'Calls that ended with 5xx or without an answer, of all to a source.',
      [
        {
          expr: ratio(`(${failed} or 0 * ${all})`, all),
          legend: '{{source}}',
        },
      ],
      { unit: 'percentunit', max: 1, width: 8, thresholds: BAD_WHEN_HIGH },
    ),
    lines(
      'Calls',
      'By their status; error: there was no answer.',
      [
        {
          expr: sum(rate('granary_http_requests_total'), 'source, method, status_code'),
          legend: '{{source}} {{method}} {{status_code}}',
        },
      ],
      { unit: 'reqps', width: 8 },
    ),
    lines(
      'Retries',
      'Attempts a second that were repeated, by why.',
      [{ expr: sum(rate('granary_http_retries_total'), 'source, reason'), legend: '{{source}} {{reason}}' }],
      { unit: 'ops', width: 8 },
    ),
    ...threeQuantiles('Calls', 'With their retries and bodies.', (q) => [
      {
        expr: quantile(q, 'granary_http_request_duration_seconds', 'source, method'),
        legend: '{{source}} {{method}}',
      },
    ]),
    lines('Rate limits: tokens left', 'Calls that may be made at once.', [
      { expr: `min by (source) (${of('granary_rate_limiter_tokens')})`, legend: '{{source}}' },
    ]),
    lines(
      'Rate limits: calls',
      'Whether a token was there at once.',
      [
        {
          expr: sum(rate('granary_rate_limit_requests_total'), 'source, allowed'),
          legend: '{{source}} allowed: {{allowed}}',
        },
      ],
      { unit: 'reqps' },
    ),
  ],
};
