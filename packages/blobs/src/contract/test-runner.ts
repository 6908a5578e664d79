/**
 * The functions of a test runner, as vitest and jest have them. They are handed in, so that this package needs neither:
 * not to be built, and not to be installed.
 */
export interface TestRunner {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: () => Promise<void>): unknown;
  expect(actual: unknown): Expectation;
}

export interface Expectation {
  readonly rejects: {
    toBeInstanceOf(type: unknown): Promise<unknown>;
    toMatchObject(expected: object): Promise<unknown>;
    toThrow(message: string): Promise<unknown>;
  };
  toBe(expected: unknown): unknown;
  toBeGreaterThanOrEqual(expected: number): unknown;
  toBeLessThan(expected: number): unknown;
  toBeLessThanOrEqual(expected: number): unknown;
  toBeUndefined(): unknown;
  toEqual(expected: unknown): unknown;
}
