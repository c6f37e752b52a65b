import { expect, test } from "@jest/globals";
import { useRealtape } from "realtape/jest";

const realtape = useRealtape();

test("has a mock of its own", async () => {
  expect(realtape().pid).toBeUndefined(); // another process started the server
  expect(await realtape().sessions()).toEqual([]);
});
