// `@mastra/voice-xai-realtime`: node mastra_voice.js URL KEY MODEL, the speech as PCM on stdin; a report on stdout.
import { Readable } from "node:stream";
import { XAIRealtimeVoice } from "@mastra/voice-xai-realtime";
import { z } from "zod";
import { Inbox, SLOTS, check, chunks, newReport, speechFrom, tell, walk } from "./steps.js";

const [url, apiKey, model] = process.argv.slice(2);
const speech = await speechFrom(process.stdin);
const report = newReport();
const asked = [];
const TOLD = ["session.updated", "writing", "speaking", "tool-call-result", "response.done"];
let voice, inbox;

const check_availability = {
  id: "check_availability",
  description: "Which slots are free.",
  inputSchema: z.object({ service: z.string(), date: z.string() }),
  execute: async (input) => {
    asked.push(input);
    return SLOTS;
  },
};

async function dial() {
  inbox = new Inbox();
  voice = new XAIRealtimeVoice({ url, apiKey, model, turnDetection: { type: "server_vad", silence_duration_ms: 500 } });
  voice.addInstructions("You book appointments.");
  voice.addTools({ check_availability });
  for (const type of TOLD) voice.on(type, (event) => inbox.put({ ...event, type }));
  voice.on("error", (error) => report.problems.push(error.message));
  voice.on("response.done", ({ usage }) => report.usage.push(usage));
  await voice.connect();
  const { tools } = (await inbox.until("session.updated")).at(-1).session;
  check(JSON.stringify(tools).includes("check_availability"), tools);
}

const written = (events, role) =>
  events.filter((event) => event.type === "writing" && event.role === role).map((event) => event.text).join("").trim();

tell(await walk({
  configure: dial,
  "typed turn": async () => {
    await voice.speak("A cleaning on 2026-12-01, please");
    await inbox.until("tool-call-result");
    check(asked.length === 1 && asked[0].date === "2026-12-01", asked);
  },
  "tool round": async () => {
    const events = [...(await inbox.until("speaking")), ...(await inbox.until("response.done"))];
    check(written(events, "assistant") === "I have 10:00 and 14:30.", events);
  },
  "spoken turn": async () => {
    await voice.send(Readable.from(chunks(speech)));
    const events = await inbox.until("response.done");
    check(written(events, "user").endsWith("I would like a dental cleaning on July sixth."), written(events, "user"));
    check(written(events, "assistant") === "July sixth is free.", written(events, "assistant"));
  },
  interruption: async () => {
    await voice.speak("Tell me everything");
    const { response_id } = (await inbox.until("speaking")).at(-1);
    await voice.cancelResponse(response_id);
    const { response } = (await inbox.until("response.done")).at(-1);
    check(response.status === "cancelled" && response.id === response_id, response);
  },
  reconnect: async () => {
    voice.close();
    await dial();
  },
  close: async () => voice.close(),
}, report));
