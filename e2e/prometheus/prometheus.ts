import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../server.js';

const WAIT_MS = 30_000;

/** A sample of an instant query. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A value that was measured in one request, with the trace of that. */
export interface Exemplar {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: string;
}

export interface RuleHealth {
  readonly name: string;
  readonly health: string;
  readonly lastError: string;
}

/** A Prometheus that scrapes and evaluates every second, and keeps what it has in the folder that it is given. */
export class Prometheus {
  readonly #url: string;
  readonly #end: () => Promise<void>;

  private constructor(url: string, end: () => Promise<void>) {
    this.#url = url;
    this.#end = end;
  }

  /**
   * Starts it on a free port of loopback.
   *
   * @param targets ports of loopback to scrape, under the job `granary`
   * @param rules paths of files with rules
   * @param flags more of its own flags
   */
  static async start(
    directory: string,
    targets: readonly number[],
    rules: readonly string[],
    ...flags: readonly string[]
  ): Promise<Prometheus> {
    const port = await freePort();
    const config = join(directory, 'prometheus.json');
    // JSON is YAML too.
    writeFileSync(
      config,
      JSON.stringify({
        global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
        rule_files: rules,
        scrape_configs: [
          { job_name: 'granary', static_configs: [{ targets: targets.map((target) => `127.0.0.1:${target}`) }] },
        ],
      }),
    );
    const args = [`--config.file=${config}`, `--storage.tsdb.path=${join(directory, 'data')}`, '--log.level=warn'];
    args.push(`--web.listen-address=127.0.0.1:${port}`, ...flags);
    const child = spawn('prometheus', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-10_000);
    });
    const ended = once(child, 'exit');
    const url = `http://127.0.0.1:${port}`;
    const prometheus = new Prometheus(url, async () => {
      child.kill('SIGTERM');
      await ended;
    });
    try {
      await eventually('Prometheus is ready', async () => {
        if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}:\n${said}`);
        return (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok || undefined;
      });
    } catch (error) {
      await prometheus.stop();
      throw error;
    }
    return prometheus;
  }

  /** @throws when Prometheus does not understand the expression, with what it says of it */
  async query(expression: string): Promise<Sample[]> {
    const result = await this.#get(`/api/v1/query?query=${encodeURIComponent(expression)}`);
    const { resultType, result: samples } = result as {
      resultType: string;
      result: { metric: Record<string, string>; value: [number, string] }[];
    };
    if (resultType !== 'vector') throw new Error(`${expression} is a ${resultType}, not a vector`);
    return samples.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  /** The exemplars of the series that the expression names, of the last hour. */
  async queryExemplars(expression: string): Promise<Exemplar[]> {
    const [end, query] = [Date.now() / 1000 + 60, encodeURIComponent(expression)];
    const found = await this.#get(`/api/v1/query_exemplars?query=${query}&start=${end - 3600}&end=${end}`);
    return (found as { exemplars: Exemplar[] }[]).flatMap(({ exemplars }) => exemplars);
  }

  /** Waits until an expression has that value, for as long as some scrapes take. */
  async expectValue(expression: string, value: number): Promise<void> {
    let last: readonly Sample[] = [];
    await eventually(
      () => `${expression} is ${value}; last it was ${JSON.stringify(last)}`,
      async () => {
        last = await this.query(expression);
        return (last.length === 1 && last[0]?.value === value) || undefined;
      },
    );
  }

  /** The same for a value that is measured, to two digits: what rules record comes some time after the scrape. */
  async expectNear(expression: string, value: number): Promise<void> {
    await this.expectValue(`floor(${expression} * 100 + 0.5)`, Math.floor(value * 100 + 0.5));
  }

  /** How every rule went, once each has been evaluated. */
  async ruleHealth(): Promise<RuleHealth[]> {
    return eventually('all rules are evaluated', async () => {
      const { groups } = (await this.#get('/api/v1/rules')) as { groups: { rules: RuleHealth[] }[] };
      const rules = groups.flatMap((group) => group.rules);
      return rules.every(({ health }) => health !== 'unknown') ? rules : undefined;
    });
  }

  stop(): Promise<void> {
    return this.#end();
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(`${this.#url}${path}`);
    const answer = (await response.json()) as { status: string; error?: string; data: unknown };
    if (answer.status !== 'success') throw new Error(`${decodeURIComponent(path)}: ${answer.error}`);
    return answer.data;
  }
}

/** Asks again and again until there is an answer. */
export async function eventually<T>(what: string | (() => string), ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline)
      throw new Error(`not within ${WAIT_MS / 1000} s: ${typeof what === 'string' ? what : what()}`);
    await sleep(100);
  }
}
