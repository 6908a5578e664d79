import { describe, expect, it } from 'vitest';
import { negotiateFormat } from './format.js';

const PROMETHEUS_2 =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
const PROMETHEUS_3 =
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
const WITH_PROTOBUF =
  'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';

describe('the format of a scrape', () => {
  it.each([
    ['Prometheus 2', PROMETHEUS_2],
    ['Prometheus 3', PROMETHEUS_3],
    ['Prometheus with native histograms', WITH_PROTOBUF],
    ['whoever takes nothing else', 'application/openmetrics-text'],
    ['a quoted version', 'application/openmetrics-text; version="1.0.0"'],
    ['any case, and spaces', ' Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.5 , text/plain ; q=0.4'],
    ['as good as the text format', 'text/plain;q=0.5,application/openmetrics-text;q=0.5'],
    ['text that is refused', 'application/openmetrics-text;q=0.1,text/plain;q=0,*/*;q=1'],
    ['the range that fits best', 'application/openmetrics-text;q=0.5,text/*;q=0.1,*/*;q=0.9'],
  ])('is OpenMetrics for %s', (_, accept) => {
    expect(negotiateFormat(accept)).toBe('openmetrics');
  });

  it.each([
    ['no header', undefined],
    ['an empty one', ''],
    ['curl', '*/*'],
    ['a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'],
    ['whoever prefers it', 'application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.5'],
    ['a wildcard that weighs more', 'application/openmetrics-text;q=0.3,*/*;q=0.5'],
    ['an older version alone', 'application/openmetrics-text;version=0.0.1,text/plain;q=0.1'],
    ['OpenMetrics refused', 'application/openmetrics-text;q=0,text/plain;q=0.1'],
    ['OpenMetrics refused in three digits', 'application/openmetrics-text;q=0.000'],
    ['a wildcard for applications', 'application/*'],
    ['something else entirely', 'application/json'],
    ['nonsense', ';;=,,;q=;q,application/openmetrics-textual'],
    ['a header that is far too long', `application/openmetrics-text,${'x'.repeat(5000)}`],
  ])('is text for %s', (_, accept) => {
    expect(negotiateFormat(accept)).toBe('text');
  });
});
