import { afterAll, expect, test as base } from "vitest";
import { conversation } from "./conversation.js";
import { check, isolatedFor, stopServers, type TestOptions } from "./fixture.js";
import { matchers, type RealtapeMatchers } from "./matchers.js";
import type { Mock } from "./mock.js";

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
 * After the test it fails if a client made a mistake that is an error; the conversation of a failed test is printed. `test.extend({ realtapeOptions: … })` configures it.
 */
export const test = base.extend<{ realtapeOptions: TestOptions; realtape: Mock }>({
  realtapeOptions: {},
  realtape: async ({ realtapeOptions, task, onTestFinished }, use) => {
    const mock = await isolatedFor(realtapeOptions, task.name);
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
export const it = test;
