import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { render, renderings } from '../../deploy/kubernetes/render.mjs';
import { deployed } from '../prometheus/deployed-files.js';
import { checkConfig } from './config.js';

interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  // biome-ignore lint/suspicious/noExplicitAny: each kind has its own shape, and the tests name what they look at
  readonly [more: string]: any;
}

function resourcesOf(text: string): Resource[] {
  return parseAllDocuments(text).flatMap((document) => {
    expect(document.errors).toEqual([]);
    const resource = document.toJS() as Resource | null;
    return resource === null ? [] : [resource];
  });
}

let folder: string;
let tokens: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'granary-kubernetes-'));
  tokens = join(folder, 'tokens');
  writeFileSync(tokens, 'ci:0123456789abcdef:write\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(renderings)('what the chart makes: $target', ({ target, firstLine }) => {
  const text = readFileSync(target, 'utf8');
  const resources = resourcesOf(text);
  const one = (kind: string) => resources.filter((resource) => resource.kind === kind)[0] as Resource;
  const workload = one('StatefulSet') ?? one('Deployment');
  const pod = workload['spec'].template.spec;
  const [container] = pod.containers;

  it('is made from the chart as it is (else run node deploy/kubernetes/render.mjs, which needs helm)', () => {
    expect(text.slice(0, text.indexOf('\n'))).toBe(firstLine);
  });

  it('has a configuration that the server takes', async () => {
    const config = one('ConfigMap')['data']['granary.yaml'] as string;
    expect(await checkConfig(config, tokens)).toEqual({ exitCode: 0, said: 'The configuration is right.\n' });
    expect(Object.keys(parse(config))).not.toContain('listen');
  });

  it('sets variables that the configuration knows', async () => {
    const { CONFIG_KEYS } = await import('../../packages/granary/src/config/keys.js');
    const variables = [...CONFIG_KEYS.keys()].map((key) => `GRANARY_${key.toUpperCase().replaceAll('.', '_')}`);
    for (const { name } of container.env) expect([...variables, 'GRANARY_CONFIG']).toContain(name);
  });

  it('runs without any privilege, as the user of the image', () => {
    const dockerfile = readFileSync(deployed('docker/Dockerfile'), 'utf8');
    expect(dockerfile).toContain(`USER ${pod.securityContext.runAsUser}:${pod.securityContext.runAsGroup}\n`);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(pod.automountServiceAccountToken).toBe(false);
  });

  it('mounts what it names, and can write to the store and for temporary files', () => {
    const volumes = [...pod.volumes, ...(workload['spec'].volumeClaimTemplates ?? []).map((c: Resource) => c.metadata)];
    const mounts: { name: string; mountPath: string; readOnly?: boolean }[] = container.volumeMounts;
    expect(mounts.map(({ name }) => name).sort()).toEqual(volumes.map(({ name }) => name).sort());
    expect(mounts.filter(({ readOnly }) => !readOnly).map(({ mountPath }) => mountPath)).toEqual([
      '/var/lib/granary',
      '/tmp',
    ]);
  });

  it('is probed on ports that it listens on', () => {
    const ports = new Map(container.ports.map(({ name, containerPort }: never) => [name, containerPort]));
    expect([...ports.keys()]).toEqual(['grpc', 'http', 'admin']);
    for (const [name, port] of ports)
      expect(container.env).toContainEqual({
        name: `GRANARY_LISTEN_${String(name).toUpperCase()}`,
        value: `0.0.0.0:${port}`,
      });
    expect(container.startupProbe.grpc).toEqual({
      port: ports.get('grpc'),
      service: 'build.bazel.remote.execution.v2.Capabilities',
    });
    expect(container.livenessProbe.httpGet).toMatchObject({ path: '/healthz', port: 'admin' });
    expect(container.readinessProbe.httpGet).toMatchObject({ path: '/readyz', port: 'admin' });
  });

  it('is given time to finish', () => {
    const grace = container.env.find(({ name }: { name: string }) => name === 'GRANARY_SHUTDOWN_GRACE').value;
    const waits = /(\d)000\)/.exec(container.lifecycle.preStop.exec.command[2])?.[1];
    expect(pod.terminationGracePeriodSeconds).toBe(Number.parseInt(grace, 10) + Number(waits) + 15);
  });

  it('is what its services, budget and policies select', () => {
    const { labels } = workload['spec'].template.metadata;
    const selectors = resources.flatMap(({ kind, spec }) => {
      if (kind === 'Service') return [spec.selector];
      if (kind === 'NetworkPolicy') return [spec.podSelector.matchLabels];
      return spec?.selector ? [spec.selector.matchLabels] : [];
    });
    expect(selectors.length).toBeGreaterThan(3);
    for (const selector of selectors) expect(labels).toMatchObject(selector);
  });
});

it('ships the rules as they are (else cp deploy/prometheus/rules.yaml deploy/kubernetes/granary/files/)', () => {
  const copy = readFileSync(deployed('kubernetes/granary/files/rules.yaml'), 'utf8');
  expect(copy).toBe(readFileSync(deployed('prometheus/rules.yaml'), 'utf8'));
});

const missing = !isHelmThere();
if (missing) console.log('Skipped: the chart by Helm, because helm is not installed.');

describe.skipIf(missing)('helm', () => {
  it.each(renderings)('makes $target', ({ values, target, firstLine }) => {
    expect(`${firstLine}\n${render(values)}`).toBe(readFileSync(target, 'utf8'));
  });

  const single = deployed('kubernetes/values-single.yaml');
  const shared = deployed('kubernetes/values-shared-tiers.yaml');

  it.each([
    ['servers that know nothing of each other', single, ['replicas=2'], /more than one server needs config\.tiers/],
    ['servers that keep nothing, with nothing behind them', single, ['kind=Deployment'], /needs config\.tiers/],
    [
      'a queue that goes with its pod',
      shared,
      ['config.tiers[1].type=grpc', 'config.tiers[1].mode=write-behind'],
      /loses/,
    ],
    ['packages that one server alone has', shared, ['config.nuget.hosted=true'], /config\.nuget\.hosted keeps/],
    [
      'packages that one of several servers has',
      single,
      ['config.nuget.hosted=true', 'replicas=2', 'config.backing_cache.target=grpc://cache:9092'],
      /config\.nuget\.hosted keeps/,
    ],
    ['volumes that come and go', single, ['autoscaling.enabled=true'], /autoscaling\.enabled needs kind: Deployment/],
    ['probes that are refused', single, ['config.tls.client_auth=require_and_verify'], /use verify_if_given/],
    ['a scrape that is refused', single, ['monitoring.serviceMonitor.enabled=true'], /tokenSecret\.name/],
    ['a value that does not exist', single, ['replica=2'], /replica/],
    ['what the chart decides', single, ['config.listen.grpc=none'], /config/],
  ])('refuses %s', (_, values, settings, message) => {
    expect(() => render(values, ...settings.flatMap((setting) => ['--set', setting]))).toThrow(message);
  });

  it('speaks TLS everywhere where it speaks it anywhere', () => {
    const flags = ['--set', 'tls.secretName=granary-tls', '--set', 'tls.clientCa=true'];
    const resources = resourcesOf(render(single, ...flags));
    const [container] = resources.find(({ kind }) => kind === 'StatefulSet')?.['spec'].template.spec.containers ?? [];
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      expect(container[probe].httpGet.scheme, probe).toBe('HTTPS');
    expect(container.env).toContainEqual({ name: 'GRANARY_TLS_CA_FILE', value: '/etc/granary/tls/ca.crt' });
  });

  it('makes what the Prometheus operator reads, under the job name that the rules expect', () => {
    const flags = ['monitoring.serviceMonitor.enabled=true', 'monitoring.serviceMonitor.tokenSecret.name=scrape'];
    const resources = resourcesOf(
      render(single, ...[...flags, 'monitoring.rules.enabled=true'].flatMap((flag) => ['--set', flag])),
    );
    const monitor = resources.find(({ kind }) => kind === 'ServiceMonitor') as Resource;
    const scraped = resources.filter(
      ({ kind, metadata }) => kind === 'Service' && 'app.kubernetes.io/component' in (metadata as never)['labels'],
    );
    expect(scraped.map((service) => (service.metadata as never)['labels'])).toEqual([
      expect.objectContaining({
        ...monitor['spec'].selector.matchLabels,
        [monitor['spec'].jobLabel]: 'granary',
      }),
    ]);
    const rules = resources.find(({ kind }) => kind === 'PrometheusRule') as Resource;
    expect(rules['spec']).toEqual(parse(readFileSync(deployed('prometheus/rules.yaml'), 'utf8')));
  });
});

function isHelmThere(): boolean {
  try {
    render(deployed('kubernetes/values-single.yaml'));
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}
