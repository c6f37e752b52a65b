// An agent for OpenAI's Realtime API: it has one tool, and tries again when the service is busy.
import WebSocket from "ws";

const MODEL = "gpt-realtime";
const TRIES = 3;
const parameters = { type: "object", properties: { service: { type: "string" } } };
const tools = [{ type: "function", name: "check_availability", description: "Free slots of a day.", parameters }];

export interface Service {
  url: string;
  key: string;
}

/** Sends one text turn; resolves with the words of the response. */
export async function ask(text: string, service: Service, slots: string[] = ["9:30", "14:00"]): Promise<string> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call(text, service, slots);
    } catch (problem) {
      if (tries === TRIES || !/503/.test(String(problem))) throw problem;
    }
  }
}

function call(text: string, { url, key }: Service, slots: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url}?model=${MODEL}`, { headers: { authorization: `Bearer ${key}` } });
    const send = (event: object) => socket.send(JSON.stringify(event));
    const said: string[] = [];
    let results: object[] = [];
    socket.on("error", reject);
    socket.on("close", () => resolve(said.join(" ")));
    socket.on("open", () => {
      send({ type: "session.update", session: { type: "realtime", tools } });
      const content = [{ type: "input_text", text }];
      send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
      send({ type: "response.create" });
    });
    socket.on("message", (data) => {
      const event = JSON.parse(String(data));
      if (event.type === "response.output_audio_transcript.done") said.push(event.transcript);
      if (event.type === "response.function_call_arguments.done")
        results.push({ type: "function_call_output", call_id: event.call_id, output: JSON.stringify({ slots }) });
      if (event.type !== "response.done") return;
      if (!results.length) return socket.close();
      for (const item of results) send({ type: "conversation.item.create", item });
      results = [];
      send({ type: "response.create" });
    });
  });
}
