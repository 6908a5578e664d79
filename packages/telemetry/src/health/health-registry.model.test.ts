import { ManualTime } from '@granary/resilience/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HealthStatus } from './health-check.js';
import { HealthRegistry } from './health-registry.js';

type Finding = HealthStatus | 'throws' | 'hangs';

type Step =
  | { readonly do: 'finds'; readonly check: number; readonly finding: Finding }
  | { readonly do: 'passes'; readonly ms: number }
  | { readonly do: 'asks' }
  | { readonly do: 'settles'; readonly check: number };

const CHECKS = [
  { required: true, timeoutMs: 500, freshMs: 1000 },
  { required: false, timeoutMs: 2000, freshMs: 0 },
  { required: true, timeoutMs: 100, freshMs: 300 },
] as const;
const check = fc.nat({ max: CHECKS.length - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('finds' as const),
    check,
    finding: fc.constantFrom<Finding>('healthy', 'degraded', 'unhealthy', 'throws', 'hangs'),
  }),
  fc.record({ do: fc.constant('passes' as const), ms: fc.nat({ max: 1500 }) }),
  fc.record({ do: fc.constant('asks' as const) }),
  fc.record({ do: fc.constant('settles' as const), check }),
);

/** A check that finds what it is told to find, and what is known of it. */
class CheckModel {
  finds: Finding = 'healthy';
  running = 0;
  mostRunning = 0;
  known: HealthStatus | undefined;
  readonly #options: (typeof CHECKS)[number];
  readonly #hanging: (() => void)[] = [];
  #knownSince = 0;

  constructor(options: (typeof CHECKS)[number]) {
    this.#options = options;
  }

  get isRequired(): boolean {
    return this.#options.required;
  }

  /** What the registry runs. */
  async run(): Promise<{ status: HealthStatus }> {
    this.running += 1;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    try {
      const finding = this.finds;
      if (finding === 'hangs') await new Promise<void>((resolve) => this.#hanging.push(resolve));
      if (finding === 'hangs' || finding === 'throws') throw new Error('no');
      return { status: finding };
    } finally {
      this.running -= 1;
    }
  }

  settle(): void {
    for (const settle of this.#hanging.splice(0)) settle();
  }

  /** What a question does: what is fresh stays, and so does what hangs; else the check runs. Gives how long that takes. */
  ask(now: number): number {
    const { freshMs, timeoutMs } = this.#options;
    const isFresh = this.known !== undefined && now - this.#knownSince < freshMs;
    if (isFresh || this.#hanging.length > 0) return 0;
    const waits = this.finds === 'hangs' ? timeoutMs : 0;
    this.known = this.finds === 'throws' || this.finds === 'hangs' ? 'unhealthy' : this.finds;
    this.#knownSince = now + waits;
    return waits;
  }
}

function statusOf(models: readonly CheckModel[]): HealthStatus {
  if (models.some(({ known, isRequired }) => known === 'unhealthy' && isRequired)) return 'unhealthy';
  return models.every(({ known }) => known === 'healthy') ? 'healthy' : 'degraded';
}

describe('a health registry, whatever its checks find', () => {
  it('gives what a model gives that says for each check when it ran and what it found', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const time = new ManualTime();
        const registry = new HealthRegistry({ clock: time.clock, timers: time });
        const models = CHECKS.map((options) => new CheckModel(options));
        for (const [index, model] of models.entries()) registry.register(`c${index}`, () => model.run(), CHECKS[index]);
        const changes: HealthStatus[] = [];
        registry.onChange(({ status }) => changes.push(status));

        const ask = async () => {
          const waits = models.map((model) => model.ask(time.clock()));
          const asked = registry.report();
          await time.advance(Math.max(...waits));
          const { checks, status } = await asked;
          expect(checks.map((each) => each.status)).toEqual(models.map(({ known }) => known));
          expect(status).toBe(statusOf(models));
          if (changes.length > 0) expect(changes.at(-1)).toBe(status);
        };
        for (const next of steps) {
          if (next.do === 'asks') await ask();
          else if (next.do === 'passes') await time.advance(next.ms);
          else if (next.do === 'finds') models[next.check]!.finds = next.finding;
          else {
            models[next.check]!.settle();
            await time.advance(0);
          }
        }
        for (const model of models) {
          model.settle();
          expect(model.mostRunning).toBeLessThanOrEqual(1);
        }
        registry.close();
        expect(time.pending).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
