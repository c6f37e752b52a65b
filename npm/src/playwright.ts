import { expect as baseExpect, test as base } from "@playwright/test";
import { conversation } from "./conversation.js";
import { check, isolatedFor, stopServers, type TestOptions } from "./fixture.js";
import { matchers } from "./matchers.js";
import type { Mock } from "./mock.js";

export * from "./index.js";
export { FindingsError, type TestOptions } from "./fixture.js";

/** Playwright's `expect`, with the matchers for mocks. */
export const expect = baseExpect.extend(matchers);

/**
 * Playwright's `test`, with the fixture `realtape`: a mock of the test's own, on a server that the tests of a worker share.
 * After the test it fails if a client made a mistake that is an error; the conversation of a failed test is attached to the
 * report. `test.use({ realtapeOptions: … })` configures it.
 */
export const test = base.extend<{ realtapeOptions: TestOptions; realtape: Mock }, { realtapeServers: void }>({
  realtapeOptions: [{}, { option: true }],
  realtapeServers: [
    async ({}, use) => {
      await use();
      await stopServers();
    },
    { scope: "worker", auto: true },
  ],
  realtape: async ({ realtapeOptions }, use, testInfo) => {
    const mock = await isolatedFor(realtapeOptions, testInfo.titlePath.join(" "));
    await use(mock);
    try {
      if (testInfo.errors.length) await testInfo.attach("realtape conversation", { body: await conversation(mock), contentType: "text/plain" });
      await check(mock);
    } finally {
      await mock.stop();
    }
  },
});
