// What the types allow, and what not. Only the compiler reads this.

import type { Fault, Mock, Scenario } from "realtape";
import { expect } from "realtape/playwright";
import { realtapeTest } from "realtape/vitest";

export const scenarios: Scenario[] = [
  { turns: [{ when: { not: { says: "no" } }, heard: "yes", times: 1, reply: [{ say: "{{ name }}", voice: "ara" }, { pause: "500ms" }] }] },
  { sequence: [[{ fail: { code: null } }], { reply: [{ hosted: { tool: "web_search" } }, { chat: {} }] }], today: "2026-07-01" },
  // @ts-expect-error a misspelt step
  { turns: [{ reply: [{ sya: "Hello" }] }] },
  // @ts-expect-error neither turns nor a sequence
  { name: "empty" },
  // @ts-expect-error no duration
  { turns: [{ reply: [{ pause: "soon" }] }] },
];

export const faults: Fault[] = [
  { at: "handshake", do: { status: 503, retry_after: 2 } },
  { at: { time: "5s" }, do: "close: 1011" },
  { at: "response.output_audio.delta", nth: 3, do: { delay: "2s" } },
  // @ts-expect-error no such kind
  { at: "handshake", do: "explode" },
  // @ts-expect-error a status is a number
  { at: "handshake", do: { status: "503" } },
];

export async function events(xai: Mock<"xai@2026-10">, openai: Mock<"openai">, either: Mock): Promise<void> {
  const [done] = await xai.sent("response.done");
  done!.usage.billable_audio_seconds satisfies number;
  const [limits] = await openai.sent("rate_limits.updated");
  limits!.rate_limits[0]!.remaining satisfies number;
  const [item] = await either.received("conversation.item.create");
  item!.item.type satisfies string;
  const [other] = await either.received("an.event.of.tomorrow");
  other!.anything satisfies unknown;
  // @ts-expect-error OpenAI's usage has no seconds
  (await openai.sent("response.done"))[0]!.response.usage!.billable_audio_seconds;
  await expect(either).toCostAtMost("0.01");
}

export const test = realtapeTest({ dialect: "openai", findings: { "left-open": "error" } });
test("the fixture has its dialect's events", async ({ realtape }) => {
  realtape satisfies Mock<"openai">;
});
