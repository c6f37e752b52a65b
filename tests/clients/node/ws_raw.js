// `ws` without any library above it: node ws_raw.js URL KEY DIALECT, the speech as PCM on stdin; a report on stdout.
import WebSocket from "ws";
import { converse, overSocket } from "./conversation.js";
import { speechFrom, tell } from "./steps.js";

const [url, key, dialect] = process.argv.slice(2);
const open = () => new WebSocket(url, { headers: { Authorization: `Bearer ${key}` } });
tell(await converse(overSocket(open), dialect, await speechFrom(process.stdin)));
