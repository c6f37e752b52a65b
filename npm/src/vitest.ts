import { afterAll, beforeAll, expect, test as base, type TestAPI } from "vitest";
import { conversation } from "./conversation.js";
import { check, isolatedFor, sharedServer, START_MS, stopServers, type TestOptions } from "./fixture.js";
import { matchers, type RealtapeMatchers } from "./matchers.js";
import type { Mock } from "./mock.js";
import type { Dialect } from "./types.js";

export * from "./index.js";
export { FindingsError, type TestOptions } from "./fixture.js";
export { expect };

declare module "vitest" {
  interface Assertion<T = any> extends RealtapeMatchers {}
}

expect.extend(matchers);
afterAll(stopServers);

/**
 * vitest's `test`, with the fixture `realtape`: a mock of the test's own, on a server that the tests of a file share.
 * After the test it fails if a client made a mistake that is an error; the conversation of a failed test is printed.
 */
export function realtapeTest<const D extends Dialect = Dialect>(options: TestOptions<D> = {}): TestAPI<{ realtape: Mock<D> }> {
  beforeAll(async () => void (await sharedServer(options.server)), START_MS);
  return base.extend<{ realtape: Mock<D> }>({
    realtape: async ({ task, onTestFinished }, use) => {
      const mock = await isolatedFor(options, task.name);
      // After the teardown of the fixtures that use this one, which may close connections.
      onTestFinished(async () => {
        try {
          if (task.result?.state === "fail") console.error(`realtape conversation of "${task.name}"\n${await conversation(mock)}`);
          await check(mock);
        } finally {
          await mock.stop();
        }
      });
      await use(mock);
    },
  });
}

/** `realtapeTest()` without options: the mock repeats the user's words. */
export const test = realtapeTest();
export const it = test;
