import { afterAll, afterEach, beforeAll, beforeEach, expect } from "@jest/globals";
import { check, isolatedFor, sharedServer, START_MS, stopServers, type TestOptions } from "./fixture.js";
import { matchers, type RealtapeMatchers } from "./matchers.js";
import type { Mock } from "./mock.js";
import type { Dialect } from "./types.js";

export * from "./index.js";
export { FindingsError, type TestOptions } from "./fixture.js";

declare module "expect" {
  interface Matchers<R extends void | Promise<void>, T = unknown> extends RealtapeMatchers {}
}

expect.extend(matchers);

/**
 * Gives each test of this file, or of this `describe`, a mock of its own, on a server that they share. Returns a function
 * that gives the running test's mock. After a test it fails if a client made a mistake that is an error.
 */
export function useRealtape<const D extends Dialect = Dialect>(options: TestOptions<D> = {}): () => Mock<D> {
  let mock: Mock<D> | undefined;
  beforeAll(async () => void (await sharedServer(options.server)), START_MS);
  beforeEach(async () => {
    mock = await isolatedFor(options, expect.getState().currentTestName ?? "");
  });
  afterEach(async () => {
    const ending = mock;
    mock = undefined;
    if (!ending) return;
    try {
      await check(ending);
    } finally {
      await ending.stop();
    }
  });
  afterAll(stopServers);
  return () => {
    if (!mock) throw new Error("The mock exists while a test runs: call the function inside a test or a beforeEach hook.");
    return mock;
  };
}
