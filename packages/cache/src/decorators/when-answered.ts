import { toMaybePromise } from '@granary/resilience';
import type { MaybePromise } from '../layer.js';

/** Goes on with an answer: at once where it is there, else when it comes. */
export function whenAnswered<T, R>(answer: MaybePromise<T>, next: (answer: T) => MaybePromise<R>): MaybePromise<R> {
  const given = toMaybePromise(answer);
  return given instanceof Promise ? given.then(next) : next(given);
}

/** Does something after an operation, however it ends. */
export function whenEnded<T>(operation: () => MaybePromise<T>, next: () => void): MaybePromise<T> {
  let answer: MaybePromise<T>;
  try {
    answer = toMaybePromise(operation());
  } catch (error) {
    next();
    throw error;
  }
  if (answer instanceof Promise) return answer.finally(next);
  next();
  return answer;
}
