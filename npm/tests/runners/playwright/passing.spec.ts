import { test, expect } from "realtape/playwright";
import { Caller } from "../../caller.js";
import { booking } from "../scenario.js";

test.use({ realtapeOptions: { scenario: booking, pacing: "burst" } });

test("answers from its own scenario", async ({ realtape }) => {
  const caller = await Caller.dial(realtape);
  expect(await caller.ask("When do you open?")).toBe("At nine.");
  await caller.close();
  await expect(realtape).toHaveNoFindings();
  await expect(realtape).toHaveReceivedInOrder("conversation.item.create", "response.create", "server response.done");
  await expect(realtape).toCostAtMost("0.01");
});

test("sees nothing of another test", async ({ realtape }) => {
  expect(await realtape.sessions()).toEqual([]);
});
