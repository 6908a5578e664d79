import { describe, expect, it } from 'vitest';
import { Flight } from './flight.js';

describe('a flight', () => {
  it('gives all callers the one answer, and later ones at once', async () => {
    const flight = new Flight<string>();
    const early = [flight.join(undefined), flight.join(new AbortController().signal)];
    expect(flight.isOpen).toBe(true);
    flight.answer('value');
    flight.answer('another');
    expect(await Promise.all(early)).toEqual(['value', 'value']);
    expect(flight.join(undefined)).toBe('value');
    expect(flight.isOpen).toBe(false);
  });

  it('fails for all callers when the work fails', async () => {
    const flight = new Flight<string>();
    const early = flight.join(undefined);
    flight.fail(new Error('broken'));
    await expect(early).rejects.toThrow('broken');
    await expect(flight.join(undefined)).rejects.toThrow('broken');
  });

  it('lets each caller go by itself, and stops the work when the last one has gone', async () => {
    const flight = new Flight<string>();
    const [first, second] = [new AbortController(), new AbortController()];
    const answers = [flight.join(first.signal), flight.join(second.signal)];
    first.abort(new Error('first left'));
    await expect(answers[0]).rejects.toThrow('first left');
    expect(flight.isStopped).toBe(false);
    second.abort(new Error('second left'));
    await expect(answers[1]).rejects.toThrow('second left');
    expect(flight.isStopped).toBe(true);
    expect(flight.signal.aborted).toBe(true);
    expect(flight.signal.reason).toEqual(new Error('second left'));
  });

  it('goes on for a caller without a signal, and when it is pinned', async () => {
    for (const hold of [(one: Flight<string>) => one.join(undefined), (one: Flight<string>) => one.pin()]) {
      const flight = new Flight<string>();
      const caller = new AbortController();
      const leaving = flight.join(caller.signal);
      const staying = hold(flight);
      caller.abort(new Error('left'));
      await expect(leaving).rejects.toThrow('left');
      expect(flight.isStopped).toBe(false);
      flight.answer('value');
      expect((await staying) ?? 'value').toBe('value');
    }
  });

  it('turns away a caller whose signal is aborted already', async () => {
    const flight = new Flight<string>();
    await expect(flight.join(AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
    expect(flight.isStopped).toBe(true);
  });
});
