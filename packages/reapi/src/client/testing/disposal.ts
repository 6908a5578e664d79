/**
 * Closes what a test has started when the test is over, the last first.
 *
 * @param afterEach the test runner's
 */
export function disposeAfterEach(
  afterEach: (close: () => Promise<void>) => void,
): <T extends AsyncDisposable>(resource: T) => T {
  const started: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const one of started.splice(0).reverse()) await one[Symbol.asyncDispose]();
  });
  return (resource) => {
    started.push(resource);
    return resource;
  };
}
