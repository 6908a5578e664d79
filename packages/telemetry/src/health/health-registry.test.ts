import { ManualTime } from '@granary/resilience/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import type { HealthFinding, HealthReport, HealthStatus } from './health-check.js';
import { HealthRegistry, type HealthRegistryOptions } from './health-registry.js';

let time: ManualTime;
let registry: HealthRegistry;

const start = (options: HealthRegistryOptions = {}) => {
  registry = new HealthRegistry({ clock: time.clock, timers: time, ...options });
};
beforeEach(() => {
  time = new ManualTime();
  start();
});

/** A check that answers what it is told to, and counts. */
class Probe {
  runs = 0;
  finding: HealthFinding | undefined;
  readonly check = (): HealthFinding | undefined => {
    this.runs++;
    return this.finding;
  };
}

/** A check that answers when it is told to. */
class Gate {
  readonly signals: AbortSignal[] = [];
  #open: ((finding: HealthFinding | undefined) => void)[] = [];
  readonly check = (signal: AbortSignal): Promise<HealthFinding | undefined> => {
    this.signals.push(signal);
    return new Promise((resolve) => this.#open.push(resolve));
  };
  get runs(): number {
    return this.signals.length;
  }
  open(finding?: HealthFinding): void {
    for (const open of this.#open.splice(0)) open(finding);
  }
}

describe('a report', () => {
  it('of no checks is healthy', async () => {
    expect(await registry.report()).toEqual({ status: 'healthy', checks: [] });
  });

  it.each<[required: boolean, status: HealthStatus, whole: HealthStatus]>([
    [true, 'healthy', 'healthy'],
    [true, 'degraded', 'degraded'],
    [true, 'unhealthy', 'unhealthy'],
    [false, 'healthy', 'healthy'],
    [false, 'degraded', 'degraded'],
    [false, 'unhealthy', 'degraded'],
  ])('with a check that is required: %s and %s is %s', async (required, status, whole) => {
    registry.register('good', () => undefined);
    registry.register('one', () => ({ status }), { required });
    expect((await registry.report()).status).toBe(whole);
  });

  it('names the checks in the order of their registration, with reason, details and time', async () => {
    const gate = new Gate();
    registry.register('slow', gate.check, { required: false });
    registry.register('quick', () => undefined);
    const report = registry.report();
    await time.advance(120);
    gate.open({ status: 'degraded', reason: 'busy', details: { queue: 7, name: 'a', full: false } });
    expect(await report).toEqual({
      status: 'degraded',
      checks: [
        {
          name: 'slow',
          required: false,
          status: 'degraded',
          reason: 'busy',
          details: { queue: 7, name: 'a', full: false },
          durationMs: 120,
        },
        { name: 'quick', required: true, status: 'healthy', durationMs: 0 },
      ],
    });
  });

  it('for a part counts what that part needs, and what everything needs', async () => {
    registry.register('store', () => ({ status: 'unhealthy' }), { neededBy: ['cas', 'ac'] });
    registry.register('clock', () => ({ status: 'degraded' }));
    expect((await registry.report('cas')).status).toBe('unhealthy');
    expect((await registry.report('capabilities')).checks.map(({ name }) => name)).toEqual(['clock']);
    expect(registry.last('ac').status).toBe('unhealthy');
    expect((await registry.report()).status).toBe('unhealthy');
  });

  it('says what a check threw, whatever that is', async () => {
    const unprintable = Object.create(null) as object;
    const thrown = [new Error('disk gone'), 'text', undefined, unprintable, new Error('')];
    for (const [index, value] of thrown.entries()) {
      registry.register(`sync${index}`, () => {
        throw value;
      });
      registry.register(`async${index}`, () => Promise.reject(value));
    }
    const { checks, status } = await registry.report();
    expect(status).toBe('unhealthy');
    expect(checks.map(({ reason }) => reason)).toEqual(
      ['disk gone', 'text', 'undefined', 'the check failed', 'Error'].flatMap((reason) => [reason, reason]),
    );
  });

  it('takes an answer that is none as unhealthy', async () => {
    registry.register('odd', () => ({ status: 'fine' }) as never);
    registry.register('null', () => null as never);
    const reason = 'the check gave no answer that is one';
    expect((await registry.report()).checks).toMatchObject([
      { name: 'odd', status: 'unhealthy', reason },
      { name: 'null', status: 'unhealthy', reason },
    ]);
  });

  it('shows no secrets, and not too much', async () => {
    registry.register('upstream', () => ({
      status: 'degraded',
      reason: `https://ann:hunter2@cache.example ${'x'.repeat(10_000)}`,
      details: {
        url: 'https://ann:hunter2@cache.example/',
        apiToken: 'hunter2',
        ...Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`d${i}`, i])),
      },
    }));
    registry.register('failing', () => {
      throw new Error('Authorization: Bearer hunter2');
    });
    const report = await registry.report();
    expect(JSON.stringify(report)).not.toContain('hunter2');
    expect(report.checks[0]?.reason?.length).toBeLessThan(600);
    expect(Object.keys(report.checks[0]?.details ?? {}).length).toBeLessThan(50);
  });
});

describe('a result', () => {
  it('is taken as it is while it is fresh', async () => {
    const probe = new Probe();
    registry.register('one', probe.check);
    await registry.report();
    await time.advance(999);
    probe.finding = { status: 'unhealthy' };
    expect((await registry.report()).status).toBe('healthy');
    await time.advance(1);
    expect((await registry.report()).status).toBe('unhealthy');
    expect(probe.runs).toBe(2);
  });

  it('is fresh as long as the check says, or never', async () => {
    const never = new Probe();
    const long = new Probe();
    registry.register('never', never.check, { freshMs: 0 });
    registry.register('long', long.check, { freshMs: 60_000 });
    await registry.report();
    await registry.report();
    await time.advance(59_999);
    await registry.report();
    expect([never.runs, long.runs]).toEqual([3, 1]);
  });

  it('is shared by all who ask while the check runs', async () => {
    const gate = new Gate();
    registry.register('one', gate.check);
    const reports = Array.from({ length: 50 }, () => registry.report());
    gate.open({ status: 'degraded' });
    expect(new Set((await Promise.all(reports)).map(({ status }) => status))).toEqual(new Set(['degraded']));
    expect(gate.runs).toBe(1);
  });

  it('is unknown before the first run, and asking for the last one causes none', () => {
    const probe = new Probe();
    registry.register('one', probe.check);
    expect(registry.last()).toEqual({ status: 'healthy', checks: [] });
    expect(probe.runs).toBe(0);
  });
});

describe('a check that hangs', () => {
  it('is unhealthy after its time limit, is told so, and keeps nobody waiting longer', async () => {
    const gate = new Gate();
    registry.register('disk', gate.check, { timeoutMs: 2000 });
    registry.register('quick', () => undefined);
    const report = registry.report();
    await time.advance(1999);
    expect(gate.signals[0]?.aborted).toBe(false);
    await time.advance(1);
    expect(await report).toMatchObject({
      status: 'unhealthy',
      checks: [{ name: 'disk', reason: 'gave no answer within 2000 ms', durationMs: 2000 }, { status: 'healthy' }],
    });
    expect(gate.signals[0]?.aborted).toBe(true);
    expect(time.pending).toBe(0);
  });

  it('is not started again before it settles, and everybody is answered at once', async () => {
    const gate = new Gate();
    registry.register('disk', gate.check, { timeoutMs: 2000 });
    const first = registry.report();
    await time.advance(2000);
    await first;
    await time.advance(3_600_000);
    expect(await registry.report()).toMatchObject({ status: 'unhealthy', checks: [{ durationMs: 3_602_000 }] });
    expect(gate.runs).toBe(1);

    gate.open();
    await time.advance(0);
    const second = registry.report();
    expect(gate.runs).toBe(2);
    gate.open();
    expect((await second).status).toBe('healthy');
  });

  it('may end with an error that concerns nobody any longer', async () => {
    let fail: (error: Error) => void = () => {};
    registry.register(
      'disk',
      () =>
        new Promise((_, reject) => {
          fail = reject;
        }),
    );
    const report = registry.report();
    await time.advance(5000);
    fail(new Error('late'));
    expect((await report).checks[0]?.reason).toBe('gave no answer within 5000 ms');
    await time.advance(0);
    expect(registry.last().checks[0]?.reason).toBe('gave no answer within 5000 ms');
  });
});

describe('listeners', () => {
  const seen: HealthStatus[] = [];
  const see = ({ status }: HealthReport) => seen.push(status);
  beforeEach(() => {
    seen.length = 0;
  });

  it('are told each change once, whoever asked, and not what stays as it is', async () => {
    const probe = new Probe();
    registry.register('one', probe.check, { freshMs: 0 });
    const leave = registry.onChange(see);
    for (const status of ['healthy', 'healthy', 'unhealthy', 'unhealthy', 'degraded', 'healthy'] as const) {
      probe.finding = { status };
      await registry.report();
    }
    expect(seen).toEqual(['healthy', 'unhealthy', 'degraded', 'healthy']);
    leave();
    probe.finding = { status: 'unhealthy' };
    await registry.report();
    expect(seen).toHaveLength(4);
  });

  it('that throw, leave or come while they are told disturb nobody', async () => {
    const probe = new Probe();
    registry.register('one', probe.check, { freshMs: 0 });
    registry.onChange(() => {
      throw new Error('broken');
    });
    // Vitest fails a run in which a promise is rejected and nobody listens.
    registry.onChange(async () => {
      throw new Error('broken later');
    });
    const leave = registry.onChange(() => {
      leave();
      registry.onChange(see);
    });
    registry.onChange(see);
    await registry.report();
    expect(seen).toEqual(['healthy']);
    probe.finding = { status: 'degraded' };
    await registry.report();
    expect(seen).toEqual(['healthy', 'degraded', 'degraded']);
  });

  it('are told when a check goes that was not well', async () => {
    const remove = registry.register('bad', () => ({ status: 'unhealthy' }));
    registry.register('good', () => undefined);
    await registry.report();
    registry.onChange(see);
    expect(registry.unregister('good')).toBe(true);
    expect(seen).toEqual([]);
    remove();
    expect(seen).toEqual(['healthy']);
    remove();
    expect(registry.unregister('bad')).toBe(false);
    expect(seen).toHaveLength(1);
  });

  it('are bounded', () => {
    start({ maxListeners: 2 });
    const leave = registry.onChange(see);
    registry.watch(see);
    expect(() => registry.onChange(see)).toThrow(/maxListeners/);
    expect(() => registry.watch(see)).toThrow(RangeError);
    leave();
    registry.onChange(see);
  });
});

describe('a watch', () => {
  it('runs the checks at once and again and again, until nobody watches', async () => {
    start({ pollMs: 5000 });
    const probe = new Probe();
    registry.register('one', probe.check);
    await time.advance(60_000);
    expect([probe.runs, registry.watched]).toEqual([0, false]);
    const leave = [registry.watch(() => {}), registry.watch(() => {})];
    await time.advance(0);
    expect([probe.runs, registry.watched]).toEqual([1, true]);
    await time.advance(10_000);
    expect(probe.runs).toBe(3);
    leave[0]?.();
    leave[0]?.();
    await time.advance(5000);
    expect(probe.runs).toBe(4);
    leave[1]?.();
    expect([time.pending, registry.watched]).toEqual([0, false]);
    await time.advance(60_000);
    expect(probe.runs).toBe(4);
  });

  it('looks every five seconds where nothing else is said', async () => {
    const probe = new Probe();
    registry.register('one', probe.check);
    const leave = registry.watch(() => {});
    await time.advance(4999);
    expect(probe.runs).toBe(1);
    await time.advance(1);
    expect(probe.runs).toBe(2);
    leave();
  });

  it('counts the pause from the end of a round, and a hung check holds nothing up', async () => {
    start({ pollMs: 1000 });
    const gate = new Gate();
    const probe = new Probe();
    registry.register('disk', gate.check, { timeoutMs: 3000 });
    registry.register('one', probe.check);
    const leave = registry.watch(() => {});
    await time.advance(3999);
    expect(probe.runs).toBe(1);
    await time.advance(1);
    expect([gate.runs, probe.runs]).toEqual([1, 2]);
    await time.advance(2000);
    expect([gate.runs, probe.runs]).toEqual([1, 4]);
    leave();
  });

  it('that ends and begins again in the middle of a round goes on once, not twice', async () => {
    start({ pollMs: 1000 });
    const gate = new Gate();
    registry.register('disk', gate.check);
    registry.watch(() => {})();
    const leave = registry.watch(() => {});
    gate.open();
    await time.advance(0);
    expect(time.pending).toBe(1);
    leave();
    expect(time.pending).toBe(0);
  });
});

describe('a registry', () => {
  it('refuses what is no name, what is taken, too many checks, and limits that are none', () => {
    start({ maxChecks: 2 });
    for (const name of ['', 'a b', 'x'.repeat(65), '-a', 'a"b', 'ä'])
      expect(() => registry.register(name, () => undefined)).toThrow(`${JSON.stringify(name)} is no name for a check`);
    registry.register('upstream:redis-1', () => undefined);
    expect(() => registry.register('upstream:redis-1', () => undefined)).toThrow(/already/);
    for (const options of [{ timeoutMs: 0 }, { timeoutMs: Number.NaN }, { timeoutMs: 2 ** 31 }, { freshMs: -1 }])
      expect(() => registry.register('b', () => undefined, options)).toThrow(RangeError);
    const remove = registry.register('b', () => undefined);
    expect(() => registry.register('c', () => undefined)).toThrow(/maxChecks/);
    remove();
    registry.register('c', () => undefined);
    for (const options of [{ maxChecks: 0 }, { maxListeners: 0 }, { pollMs: 1 }])
      expect(() => new HealthRegistry(options)).toThrow(Object.keys(options)[0]);
    start({ maxChecks: 1, maxListeners: 1, pollMs: 100 });
    registry.register('only', () => undefined, { timeoutMs: 1, freshMs: 0 });
  });

  it('keeps the check that took the name of one that was removed', async () => {
    const remove = registry.register('a', () => ({ status: 'unhealthy' }));
    registry.unregister('a');
    registry.register('a', () => undefined);
    remove();
    expect((await registry.report()).checks).toHaveLength(1);
  });

  it('answers those who wait for a check that is removed, and what it finds then counts no more', async () => {
    const gate = new Gate();
    registry.register('a', gate.check);
    const told: HealthReport[] = [];
    registry.onChange((report) => told.push(report));
    const report = registry.report();
    registry.unregister('a');
    expect((await report).status).toBe('unhealthy');
    expect(gate.signals[0]?.aborted).toBe(true);
    gate.open();
    await time.advance(0);
    expect(told).toEqual([]);
    expect(time.pending).toBe(0);
  });

  it('when closed, ends what runs, tells nobody anything, and still shows what it found', async () => {
    const gate = new Gate();
    const probe = new Probe();
    registry.register('one', probe.check);
    await registry.report();
    registry.register('disk', gate.check);
    const told: HealthReport[] = [];
    const leave = registry.watch((report) => told.push(report));
    const report = registry.report();
    registry.close();
    registry[Symbol.dispose]();
    expect((await report).checks).toMatchObject([{ status: 'healthy' }, { reason: 'nobody looks any longer' }]);
    expect(gate.signals[0]?.aborted).toBe(true);
    await time.advance(60_000);
    expect((await registry.report()).checks[0]?.status).toBe('healthy');
    expect([probe.runs, time.pending, told]).toEqual([1, 0, []]);
    expect(() => registry.register('late', () => undefined)).toThrow('closed');
    registry.watch(() => {})();
    leave();
    expect(time.pending).toBe(0);
  });

  it('that is closed before a check ran says that nobody looks', async () => {
    registry.register('one', () => undefined);
    registry.close();
    expect((await registry.report()).checks).toMatchObject([{ status: 'unhealthy', durationMs: 0 }]);
  });

  it('takes the time and timers of Node by default, which keep no process alive', async () => {
    using real = new HealthRegistry();
    const gate = new Gate();
    real.register('slow', gate.check, { timeoutMs: 1 });
    expect((await real.report()).checks).toMatchObject([{ status: 'unhealthy' }]);
    gate.open();
    const waiting = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
    const before = waiting();
    const waits = new Gate();
    real.register('waits', waits.check);
    const report = real.report();
    expect(waits.runs).toBe(1);
    expect(waiting()).toBe(before);
    real.close();
    await report;
  });
});
