import type { SecretNames } from '../logging/secrets/secret-names.js';
import { failedFinding, publicFinding } from './findings.js';
import type { CheckReport, HealthCheck, HealthFinding } from './health-check.js';

/** What all checks of a registry share. */
export interface CheckSurroundings {
  readonly clock: () => number;
  readonly timers: HealthTimers;
  /** Which details are not shown. */
  readonly secrets: SecretNames;
}

/** What time limits are set with. `setTimeout` and `clearTimeout` of Node fit. */
export interface HealthTimers {
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
}

/** How a check is registered, defaults filled in. */
export interface CheckSettings {
  readonly required: boolean;
  readonly timeoutMs: number;
  readonly freshMs: number;
  readonly neededBy: ReadonlySet<string> | undefined;
}

const CLOSED: HealthFinding = { status: 'unhealthy', reason: 'nobody looks any longer' };

/**
 * One check with its last result. It runs once at a time: whoever asks meanwhile gets the same answer, and one that
 * hangs is not started again before it has settled, since on a disk that hangs every further look would hang too.
 */
export class RegisteredCheck {
  readonly settings: CheckSettings;
  readonly #name: string;
  readonly #check: HealthCheck;
  readonly #with: CheckSurroundings;
  readonly #changed: () => void;
  #last: CheckReport | undefined;
  #lastAt = 0;
  #startedAt = 0;
  #hangs = false;
  #answer: Promise<CheckReport> | undefined;
  /** Ends the run that is under way without an answer. */
  #abandon: (() => void) | undefined;
  #closed = false;

  /** @param changed called when a run gives another status than the one before it, or the first */
  constructor(
    name: string,
    check: HealthCheck,
    settings: CheckSettings,
    surroundings: CheckSurroundings,
    changed: () => void,
  ) {
    this.#name = name;
    this.#check = check;
    this.settings = settings;
    this.#with = surroundings;
    this.#changed = changed;
  }

  /** The last result; undefined before the first. */
  get last(): CheckReport | undefined {
    return this.#hangs && this.#last ? { ...this.#last, durationMs: this.#elapsed() } : this.#last;
  }

  /** The last result while it is fresh, else that of a run. */
  ask(): CheckReport | Promise<CheckReport> {
    const { last } = this;
    const fresh = this.#with.clock() - this.#lastAt < this.settings.freshMs;
    if (last && (this.#closed || this.#hangs || fresh)) return last;
    if (this.#closed) return this.#report(CLOSED, 0);
    this.#answer ??= this.#run();
    return this.#answer;
  }

  /** Runs no more. Whoever waits for an answer gets one. */
  close(): void {
    this.#closed = true;
    this.#abandon?.();
  }

  #run(): Promise<CheckReport> {
    this.#startedAt = this.#with.clock();
    const { timers } = this.#with;
    const { timeoutMs } = this.settings;
    const controller = new AbortController();
    return new Promise((resolve) => {
      const answer = (finding: HealthFinding) => {
        if (this.#abandon !== abandon) return;
        this.#abandon = undefined;
        this.#answer = undefined;
        timers.clearTimeout(timer);
        resolve(this.#settle(finding));
      };
      const abandon = () => {
        answer(CLOSED);
        controller.abort();
      };
      this.#abandon = abandon;
      const timer = timers.setTimeout(() => {
        this.#hangs = true;
        answer({ status: 'unhealthy', reason: `gave no answer within ${timeoutMs} ms` });
        controller.abort();
      }, timeoutMs);
      this.#look(controller.signal).then((finding) => {
        this.#hangs = false;
        answer(finding);
      });
    });
  }

  async #look(signal: AbortSignal): Promise<HealthFinding> {
    try {
      return publicFinding(await this.#check(signal), this.#with.secrets);
    } catch (error) {
      return failedFinding(error);
    }
  }

  #settle(finding: HealthFinding): CheckReport {
    const before = this.#last?.status;
    const report = this.#report(finding, this.#elapsed());
    this.#last = report;
    this.#lastAt = this.#with.clock();
    if (finding.status !== before && !this.#closed) this.#changed();
    return report;
  }

  #report(finding: HealthFinding, durationMs: number): CheckReport {
    return { name: this.#name, required: this.settings.required, ...finding, durationMs };
  }

  #elapsed(): number {
    return this.#with.clock() - this.#startedAt;
  }
}
