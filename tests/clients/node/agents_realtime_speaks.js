// `@openai/agents-realtime`, one typed line and nothing more: node agents_realtime_speaks.js URL KEY MODEL.
// It prints the words of the answer; on xAI's events the package throws instead, and Node ends with it.
import { RealtimeAgent, RealtimeSession } from "@openai/agents-realtime";

const [url, apiKey, model] = process.argv.slice(2);
const session = new RealtimeSession(new RealtimeAgent({ name: "talker" }), { model });
session.on("agent_end", (context, agent, words) => {
  console.log(words);
  session.close();
});
await session.connect({ url, apiKey });
session.sendMessage("Hello?");
