import { describe } from "vitest";
import { expect, realtapeTest } from "realtape/vitest";
import { Caller } from "../../caller.js";
import { booking } from "../scenario.js";

const test = realtapeTest({ dialect: "xai", scenario: booking, pacing: "burst" });

describe.concurrent("a fixture", () => {
  test("answers from its own scenario", async ({ realtape }) => {
    const caller = await Caller.dial(realtape);
    expect(await caller.ask("When do you open?")).toBe("At nine.");
    await caller.close();
    const [item] = await realtape.received("conversation.item.create"); // typed as xAI's
    expect(item?.item.type).toBe("message");
    await expect(realtape).toHaveNoFindings();
    await expect(realtape).toHaveReceivedInOrder("conversation.item.create", "response.create", "server response.done");
    await expect(realtape).not.toHaveReceivedInOrder("response.create", "conversation.item.create");
    await expect(realtape).toCostAtMost("0.01");
  });

  test("sees nothing of another test", async ({ realtape }) => {
    await expect(realtape).not.toHaveReceivedInOrder("response.create");
    expect(await realtape.sessions()).toEqual([]);
  });
});
