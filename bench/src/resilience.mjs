// What bench/resilience.mjs measures: functions that do the same with Granary, with a peer, or without any.
import { CircuitBreaker, PerSourceLimiter, resilientCall, steadyClock, TokenBucket } from '@granary/resilience';
import {
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  TimeoutStrategy,
  timeout,
  wrap,
} from 'cockatiel';
import { RateLimiter } from 'limiter';
import { do_not_optimize } from 'mitata';
import Opossum from 'opossum';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { asFastAs, costs, costsAbove } from './contest.mjs';

/** The work: an async function that has its answer already. All else that is measured is what its protection costs. */
const call = async () => 1;

/** Tokens enough that no limiter ever refuses: refusals would be cheaper. */
const PLENTY = 1_000_000_000;
const SOURCES = Array.from({ length: 1000 }, (_, i) => `https://feed-${i}.example/v3/index.json`);

const CALL = 'the call alone';

export const CONTENDERS = {
  [CALL]: () => call,
  // Most of what a token costs; the default of everything that measures time.
  'the clock': () => () => do_not_optimize(steadyClock()),

  'breaker, canExecute + recordSuccess': () => {
    const breaker = new CircuitBreaker();
    // A result that nobody uses would be optimized away, and the breaker with it.
    return () => {
      do_not_optimize(breaker.canExecute());
      breaker.recordSuccess();
      do_not_optimize(breaker);
    };
  },
  'breaker, execute': () => {
    const breaker = new CircuitBreaker();
    return () => breaker.execute(call);
  },
  'cockatiel breaker': () => {
    const breaker = cockatielBreaker();
    return () => breaker.execute(call);
  },
  'opossum breaker': () => {
    // Without its timeout, which the others don't have here either.
    const breaker = new Opossum(call, { timeout: false });
    return Object.assign(() => breaker.fire(), { close: () => breaker.shutdown() });
  },

  'token bucket, allow': () => {
    const bucket = new TokenBucket({ capacity: PLENTY, refillRate: 1000 });
    return () => bucket.allow();
  },
  'limiter, tryRemoveTokens': () => {
    const limiter = new RateLimiter({ tokensPerInterval: PLENTY, interval: 'second' });
    return () => limiter.tryRemoveTokens(1);
  },
  'rate-limiter-flexible, consume': () => {
    const limiter = new RateLimiterMemory({ points: PLENTY, duration: 1 });
    return () => limiter.consume('one');
  },

  'per source, allow': () => {
    const limiter = new PerSourceLimiter({ capacity: PLENTY, refillRate: 1000 });
    const nextSource = inTurn();
    return () => limiter.allow(nextSource());
  },
  'limiter in a Map': () => {
    const limiters = new Map(
      SOURCES.map((source) => [source, new RateLimiter({ tokensPerInterval: PLENTY, interval: 'second' })]),
    );
    const nextSource = inTurn();
    return () => limiters.get(nextSource()).tryRemoveTokens(1);
  },
  'rate-limiter-flexible, consume by source': () => {
    const limiter = new RateLimiterMemory({ points: PLENTY, duration: 1 });
    const nextSource = inTurn();
    return () => limiter.consume(nextSource());
  },

  resilientCall: () => {
    const protect = resilientCall({
      timeoutMs: 30_000,
      retry: {},
      rateLimit: { capacity: PLENTY, refillRate: 1000 },
      breaker: {},
      attemptTimeoutMs: 10_000,
    });
    return () => protect(call);
  },
  // The same but for the rate limit, which cockatiel has none of. Aggressive timeouts end in time whatever the function
  // does, as Granary's; cooperative ones are cheaper and wait for the function.
  'cockatiel wrap': () => cockatielWrap(TimeoutStrategy.Aggressive),
  'cockatiel wrap, cooperative timeouts': () => cockatielWrap(TimeoutStrategy.Cooperative),
};

function cockatielBreaker() {
  return circuitBreaker(handleAll, { halfOpenAfter: 60_000, breaker: new ConsecutiveBreaker(5) });
}

function cockatielWrap(strategy) {
  const policy = wrap(
    timeout(30_000, strategy),
    retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
    cockatielBreaker(),
    timeout(10_000, strategy),
  );
  return () => policy.execute(call);
}

function inTurn() {
  let next = 0;
  return () => {
    const source = SOURCES[next];
    next = next === SOURCES.length - 1 ? 0 : next + 1;
    return source;
  };
}

/** What is reported: from the nanoseconds of one round to a figure, with what is wanted of it. */
export const ROWS = [
  { row: 'breaker, closed: canExecute + recordSuccess', ...costs('breaker, canExecute + recordSuccess', 25) },
  { row: 'breaker, closed: execute, above the call', ...costsAbove(CALL, 'breaker, execute', 60) },
  { row: 'breaker, closed: execute, as fast as cockatiel', ...asFastAs('cockatiel breaker', 'breaker, execute', 2) },
  { row: 'breaker, closed: execute, as fast as opossum', ...asFastAs('opossum breaker', 'breaker, execute', 3) },
  { row: 'token bucket: allow', ...costs('token bucket, allow', 40) },
  { row: 'token bucket: as fast as limiter', ...asFastAs('limiter, tryRemoveTokens', 'token bucket, allow', 1) },
  {
    row: 'token bucket: as fast as rate-limiter-flexible',
    ...asFastAs('rate-limiter-flexible, consume', 'token bucket, allow', 1),
  },
  { row: 'bucket per source, 1000 sources: allow', ...costs('per source, allow', 100) },
  {
    row: 'bucket per source: as fast as limiter in a Map',
    ...asFastAs('limiter in a Map', 'per source, allow', 1),
  },
  {
    row: 'bucket per source: as fast as rate-limiter-flexible',
    ...asFastAs('rate-limiter-flexible, consume by source', 'per source, allow', 1),
  },
  { row: 'resilientCall, everything on: above the call', ...costsAbove(CALL, 'resilientCall', 1000) },
  { row: 'resilientCall: as fast as cockatiel’s wrap', ...asFastAs('cockatiel wrap', 'resilientCall', 1) },
  {
    row: 'resilientCall: as fast as cockatiel’s wrap, cooperative',
    ...asFastAs('cockatiel wrap, cooperative timeouts', 'resilientCall', 1),
  },
];
