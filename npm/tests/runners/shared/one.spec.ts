import { expect, test } from "realtape/playwright";

test("has a mock of its own", async ({ realtape }) => {
  expect(realtape.pid).toBeUndefined(); // another process started the server
  expect(await realtape.sessions()).toEqual([]);
});
