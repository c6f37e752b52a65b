import { expect, realtapeTest } from "realtape/vitest";
import { ask } from "./agent.js";
import { booking } from "./scenario.js";

const test = realtapeTest({ dialect: "openai", pacing: "burst", scenario: booking });

test("free slots are offered", async ({ realtape }) => {
  const said = await ask("A dental cleaning, please.", { url: realtape.url, key: realtape.apiKey });
  expect(said).toBe("I have 9:30 and 14:00.");
  await expect(realtape).toHaveReceivedInOrder("session.update", "response.create", "conversation.item.create", "response.create");
  await expect(realtape).toCostAtMost("0.02");
  expect(await realtape.unused()).toEqual([]);
});

test("the agent tries again when the service is busy", async ({ realtape }) => {
  await realtape.faults({ at: "handshake", do: { status: 503 }, session: 1 });
  const said = await ask("What is this?", { url: realtape.url, key: realtape.apiKey });
  expect(said).toBe("Could you repeat that?");
  expect(await realtape.struck()).toMatchObject([{ fired: 1 }]);
});
