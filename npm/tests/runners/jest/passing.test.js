import { expect, test } from "@jest/globals";
import { useRealtape } from "realtape/jest";
import { Caller } from "../../../build/caller.js";

const scenario = { turns: [{ when: { says: "open" }, reply: [{ say: "At nine." }] }, { reply: [{ say: "Pardon?" }] }] };
const realtape = useRealtape({ scenario, pacing: "burst" });

test("answers from its own scenario", async () => {
  const caller = await Caller.dial(realtape());
  expect(await caller.ask("When do you open?")).toBe("At nine.");
  await caller.close();
  await expect(realtape()).toHaveNoFindings();
  await expect(realtape()).toHaveReceivedInOrder("conversation.item.create", "response.create", "server response.done");
  await expect(realtape()).toCostAtMost("0.01");
});

test("sees nothing of another test", async () => {
  expect(await realtape().sessions()).toEqual([]);
});
