// An agent of Mastra's voice that tells callers about their orders: `npm install @mastra/voice-xai-realtime zod`.
//
//     realtape serve --scenario examples/agents/orders.yaml
//     XAI_REALTIME_URL=ws://127.0.0.1:8765/v1/realtime XAI_API_KEY=anything node mastra.mjs
//
// Without XAI_REALTIME_URL it calls the live service. An agent of `@mastra/core` takes the same object as its `voice`.
import { XAIRealtimeVoice } from "@mastra/voice-xai-realtime";
import { z } from "zod";

const ORDERS = { 1042: "sent", 1043: "being packed" };

const find_order = {
  id: "find_order",
  description: "Look up where an order is.",
  inputSchema: z.object({ number: z.number() }),
  execute: async ({ number }) =>
    number in ORDERS ? { number, state: ORDERS[number] } : { error: `there is no order ${number}` },
};

/** One typed turn. Resolves with the words of the answer that follows the tool's result. */
async function ask(words) {
  const url = process.env.XAI_REALTIME_URL; // undefined: the live service
  const voice = new XAIRealtimeVoice({ url, apiKey: process.env.XAI_API_KEY, model: "grok-voice-think-fast-1.0" });
  voice.addInstructions("You tell callers about their orders.");
  voice.addTools({ find_order });
  let said = "";
  let lookedUp = false;
  const answer = new Promise((resolve, reject) => {
    voice.on("error", (error) => reject(new Error(error.message)));
    voice.on("tool-call-result", () => (lookedUp = true));
    voice.on("writing", ({ text, role }) => {
      if (lookedUp && role === "assistant") said += text;
    });
    voice.on("response.done", () => said.trim() && resolve(said.trim()));
  });
  await voice.connect();
  await voice.speak(words);
  try {
    return await answer;
  } finally {
    voice.close();
  }
}

console.log(await ask(process.argv[2] ?? "Where is order 1043?"));
