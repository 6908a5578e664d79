import { rate, ratio, sum } from '../expressions.mjs';
import { lines } from '../panels.mjs';
import { actionGets, actionHits, blobHitRatio } from '../server-expressions.mjs';

export const hits = {
  title: 'Which tier or layer has it?',
  panels: [
    lines(
      'Blobs: hit rate by tier',
      'Of the blobs that a tier was asked for.',
      [{ expr: blobHitRatio('tier'), legend: '{{tier}}' }],
      { unit: 'percentunit', max: 1, width: 8 },
    ),
    lines(
      'Cache chain: hit rate by layer',
      'Of the gets that reached a layer: a second layer sees what the first one missed.',
      [
        {
          expr: ratio(
            sum(rate('granary_hits_total'), 'layer'),
            `(${sum(rate('granary_hits_total'), 'layer')} + ${sum(rate('granary_misses_total'), 'layer')})`,
          ),
          legend: '{{layer}}',
        },
      ],
      { unit: 'percentunit', max: 1, width: 8 },
    ),
    lines(
      'Cache chain: where values come from',
      'Gets a second by the place of the layer that had the value, from 0; none: no layer had it.',
      [{ expr: sum(rate('granary_chain_gets_total'), 'result, layer'), legend: '{{result}} {{layer}}' }],
      { unit: 'ops', width: 8, stacked: true },
    ),
    lines(
      'Operations of tiers',
      'A find that is a hit had nothing missing: nothing needs to be uploaded.',
      [
        {
          expr: sum(rate('granary_cache_requests_total'), 'tier, method, status'),
          legend: '{{tier}} {{method}} {{status}}',
        },
      ],
      { unit: 'ops', stacked: true },
    ),
    lines(
      'Action results: lookups',
      'As clients saw them: a result whose outputs are gone is a miss.',
      [
        { expr: actionHits, legend: 'hit' },
        { expr: `${actionGets} - ${actionHits}`, legend: 'miss' },
      ],
      { unit: 'reqps', stacked: true },
    ),
  ],
};
