import { expect, test } from "@jest/globals";
import { useRealtape } from "realtape/jest";
import { Caller } from "../../../build/caller.js";

const realtape = useRealtape();

test("a mistake of the client", async () => {
  const caller = await Caller.dial(realtape());
  caller.answerNothing();
  await caller.close();
});

test("an order that was another", async () => {
  await expect(realtape()).toHaveReceivedInOrder("response.create");
});
