// `openai` for Node: node openai_sdk.js BASE_URL KEY DIALECT MODEL FOLDER, the speech as PCM on stdin; a report on
// stdout. FOLDER has the key and the certificate of the TLS front.
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { Line, converse } from "./conversation.js";
import { speechFrom, tell } from "./steps.js";
import { behindTls } from "./tls_front.js";

const [plainURL, apiKey, dialect, model, folder] = process.argv.slice(2);
const client = new OpenAI({ apiKey, baseURL: await behindTls(plainURL, folder) });

function dial(report) {
  const realtime = new OpenAIRealtimeWS({ model }, client);
  const line = new Line(report, (event) => realtime.send(event), () => realtime.close({ code: 1000, reason: "done" }));
  realtime.on("event", (event) => line.read(event));
  realtime.on("error", (error) => report.problems.push(error.message));
  realtime.socket.on("close", (code) => line.lost(code));
  return line;
}

tell(await converse(dial, dialect, await speechFrom(process.stdin)));
