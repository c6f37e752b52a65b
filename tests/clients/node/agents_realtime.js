// `@openai/agents-realtime`: node agents_realtime.js URL KEY MODEL, the speech as PCM on stdin; a report on stdout.
import { RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";
import { Inbox, SLOTS, check, chunks, newReport, speechFrom, tell, walk } from "./steps.js";

const [url, apiKey, model] = process.argv.slice(2);
const speech = await speechFrom(process.stdin);
const report = newReport();
const asked = [];
let session, inbox;

const agent = new RealtimeAgent({
  name: "booking",
  instructions: "You book appointments.",
  tools: [
    tool({
      name: "check_availability",
      description: "Which slots are free.",
      parameters: z.object({ service: z.string(), date: z.string() }),
      execute: async (input) => {
        asked.push(input);
        return JSON.stringify(SLOTS);
      },
    }),
  ],
});
const turnDetection = { type: "server_vad", silenceDurationMs: 500, createResponse: true, interruptResponse: true };

/** Notes every event that the package's own schema refuses: it gives those under "*" and not under their type. */
function watch(transport) {
  const known = new Set();
  let untold;
  transport.on("*", (event) => {
    if (untold) report.problems.push(`not understood: ${untold}`);
    untold = event.type;
    if (!known.has(event.type)) transport.on(event.type, () => { untold = undefined; });
    known.add(event.type);
    inbox.put(event);
  });
}

async function dial() {
  inbox = new Inbox();
  session = new RealtimeSession(agent, { model, config: { audio: { input: { turnDetection } } } });
  session.on("error", ({ error }) => report.problems.push(JSON.stringify(error)));
  session.on("agent_tool_end", () => inbox.put({ type: "tool over" }));
  session.on("audio_interrupted", () => inbox.put({ type: "interrupted" }));
  watch(session.transport);
  await session.connect({ url, apiKey });
  // It configures the session on connecting, and turns tracing on when it hears of the session.
  await inbox.until("session.updated");
  await inbox.until("session.updated");
}

const saying = (role) =>
  session.history.filter((item) => item.role === role).map((item) => item.content.map((part) => part.transcript ?? part.text).join(""));
const speak = () => { for (const chunk of chunks(speech)) session.sendAudio(new Uint8Array(chunk).buffer); };

tell(await walk({
  configure: dial,
  "typed turn": async () => {
    session.sendMessage("A cleaning on 2026-12-01, please");
    await inbox.until("tool over");
    check(asked.length === 1 && asked[0].date === "2026-12-01", asked);
  },
  "tool round": async () => {
    await inbox.until("response.output_audio.done");
    await inbox.until("response.done");
    check(saying("assistant").at(-1) === "I have 10:00 and 14:30.", session.history);
  },
  "spoken turn": async () => {
    speak();
    await inbox.until("conversation.item.retrieved");
    await inbox.until("response.done");
    check(saying("user").at(-1) === "I would like a dental cleaning on July sixth.", session.history);
    check(saying("assistant").at(-1) === "July sixth is free.", session.history);
  },
  interruption: async () => {
    session.sendMessage("Tell me everything");
    await inbox.until("response.output_audio.delta");
    speak();
    await inbox.until("interrupted");
    const events = [...(await inbox.until("response.done")), ...(await inbox.until("response.done"))];
    const states = events.filter((event) => event.type === "response.done").map((event) => event.response.status);
    check(String(states) === "cancelled,completed", states);
    check(events.some((event) => event.type === "conversation.item.truncated"), events);
  },
  reconnect: async () => {
    report.usage.push({ input_tokens: session.usage.inputTokens, output_tokens: session.usage.outputTokens });
    session.close();
    await dial();
  },
  close: async () => session.close(),
}, report));
