import { describe, expect, it } from 'vitest';
import { untilAborted } from './until-aborted.js';

describe('work that is waited for until a signal is aborted', () => {
  it('is answered as it ends while nobody aborts', async () => {
    const { signal } = new AbortController();
    await expect(untilAborted(Promise.resolve('done'), signal)).resolves.toBe('done');
    await expect(untilAborted(Promise.reject(new Error('broken')), signal)).rejects.toThrow('broken');
  });

  it('rejects with the reason as soon as the signal is aborted, and hands over what comes late', async () => {
    const controller = new AbortController();
    const late: string[] = [];
    let finish: (value: string) => void = () => {};
    const work = new Promise<string>((resolve) => {
      finish = resolve;
    });
    const waiting = untilAborted(work, controller.signal, (value) => late.push(value));
    controller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    finish('too late');
    await work;
    expect(late).toEqual(['too late']);
  });

  it('rejects at once when the signal has been aborted before, and lets the work fail as it likes', async () => {
    const signal = AbortSignal.abort(new Error('gone'));
    await expect(untilAborted(Promise.reject(new Error('broken')), signal)).rejects.toThrow('gone');
  });

  it('costs no promise where the answer is there, or nobody can abort', () => {
    const work = Promise.resolve(1);
    expect(untilAborted(1, AbortSignal.abort())).toBe(1);
    expect(untilAborted(work, undefined)).toBe(work);
  });
});
