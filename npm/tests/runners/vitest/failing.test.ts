import { test, expect } from "realtape/vitest";
import { Caller } from "../../caller.js";

test("a mistake of the client", async ({ realtape }) => {
  const caller = await Caller.dial(realtape);
  caller.answerNothing();
  await caller.close();
});

test("an order that was another", async ({ realtape }) => {
  const caller = await Caller.dial(realtape);
  await caller.ask("Hello?");
  await caller.close();
  await expect(realtape).toHaveReceivedInOrder("response.create", "conversation.item.create");
});

test("a price that is too high", async ({ realtape }) => {
  const caller = await Caller.dial(realtape);
  await caller.ask("Hello?");
  await caller.close();
  await expect(realtape).toCostAtMost(0);
});

test("a matcher for something else", async () => {
  await expect({}).toHaveNoFindings();
});

test("a failure of another kind", async ({ realtape }) => {
  const caller = await Caller.dial(realtape);
  expect(await caller.ask("Hello?")).toBe("Goodbye.");
  await caller.close();
});
