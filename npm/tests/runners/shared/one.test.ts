import { expect, test } from "realtape/vitest";

test("has a mock of its own", async ({ realtape }) => {
  console.log(`served at ${realtape.origin}`);
  expect(realtape.pid).toBeUndefined(); // another process started the server
  expect(await realtape.sessions()).toEqual([]);
});
