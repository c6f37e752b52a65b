import { test, expect } from "realtape/playwright";
import { Caller } from "../../caller.js";

test("a mistake of the client", async ({ realtape }) => {
  const caller = await Caller.dial(realtape);
  caller.answerNothing();
  await caller.close();
});

test("an order that was another", async ({ realtape }) => {
  await expect(realtape).toHaveReceivedInOrder("response.create");
});
