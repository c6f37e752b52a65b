// What the control plane answers, and the events of both services.

import type { DialectName, FindingRule, Level } from "./generated/control.js";
import type { Fault } from "./generated/faults.js";
import type { ClientEvents as OpenAIClientEvents } from "./generated/openai-client.js";
import type { ServerEvents as OpenAIServerEvents } from "./generated/openai-server.js";
import type { Scenario } from "./generated/scenario.js";
import type { ClientEvents as XaiClientEvents } from "./generated/xai-client.js";
import type { ServerEvents as XaiServerEvents } from "./generated/xai-server.js";

export type { OpenAIClientEvents, OpenAIServerEvents, XaiClientEvents, XaiServerEvents };

/** The service that the server plays, or `auto`: by each connection's model. */
export type Dialect = DialectName;

type IsXai<D> = D extends "xai" | `xai@${string}` ? true : false;
type IsOpenAI<D> = D extends "openai" | "azure" | `${"openai" | "azure"}@${string}` ? true : false;

/** What clients send, by type: of the dialect's service, or of both where the dialect does not say. */
export type ClientEvents<D extends Dialect = Dialect> =
  IsXai<D> extends true ? XaiClientEvents : IsOpenAI<D> extends true ? OpenAIClientEvents : Both<XaiClientEvents, OpenAIClientEvents>;

/** What the server sends, by type: of the dialect's service, or of both where the dialect does not say. */
export type ServerEvents<D extends Dialect = Dialect> =
  IsXai<D> extends true ? XaiServerEvents : IsOpenAI<D> extends true ? OpenAIServerEvents : Both<XaiServerEvents, OpenAIServerEvents>;

type Both<A, B> = { [Type in keyof A | keyof B]: (Type extends keyof A ? A[Type] : never) | (Type extends keyof B ? B[Type] : never) };

/** One mistake of a client. */
export interface Finding {
  rule: FindingRule;
  level: Level;
  /** Seconds since the connection opened. */
  at: number;
  /** The frame it was found at, from 0 over both directions; null for the handshake. */
  frame: number | null;
  /** What is wrong, with the values seen. */
  message: string;
  /** What to do. */
  fix: string;
  /** The session's id; null for what happened outside a session. */
  session: string | null;
}

/** One frame, or a fault that was injected. */
export interface JournalEntry {
  session: string;
  /** Seconds since the connection opened. */
  at: number;
  /** `in`: the client sent it. `out`: the server did. */
  way: "in" | "out";
  /** The event's type, or close, reset, binary or fault; null for text that is no event. */
  type: string | null;
  frame: unknown;
  findings?: Finding[];
  /** What decided the words of a final transcript. */
  heard_by?: string;
}

export interface Session {
  id: string;
  conversation_id: string;
  /** Service and date. */
  dialect: string;
  /** Seconds of the server's clock. */
  opened: number;
  open: boolean;
  /** Seconds from opening to the end; null while open. */
  closed_s: number | null;
  close_code: number | null;
  close_reason: string;
  frames: number;
  dropped: number;
  /** The number of findings. */
  findings: number;
  /** The words of each spoken turn. */
  heard: Array<{ item_id: string; at: number; words: string; heard_by: string }>;
}

export interface Ledger {
  /** The number of sessions; only in the sum of all. */
  sessions?: number;
  /** Only in that of one session. */
  model?: string;
  /** The day of the prices; only in that of one session. */
  prices_as_of?: string;
  /** Seconds. */
  audio_in_s: number;
  /** Seconds. */
  audio_out_s: number;
  text_items: number;
  hosted_calls: Record<string, number>;
  telephony_s: number;
  /** US dollars, with six decimals. */
  usd: string;
}

/** An active fault, and where it was triggered. */
export interface Struck {
  id: number;
  fault: Fault;
  /** How often it was triggered. */
  fired: number;
  where: Array<{ session: string; at: number; event: string }>;
}

/** A refused handshake or request. */
export interface Refusal {
  /** Seconds since 1970. */
  at: number;
  method: string;
  path: string;
  status: number;
  error: string;
  /** The likely cause. */
  cause: string;
}

/** What answers new connections. */
export interface Played {
  plays: "echo" | "chat" | "scenario" | "cassette";
  name: string;
  verbatim: boolean;
  /** The scenario's content; null for anything else. */
  scenario: Scenario | null;
}

/** A credential for a browser. */
export interface ClientSecret {
  value: string;
  /** Seconds since 1970. */
  expires_at: number;
  session?: unknown;
}

/** The server's clock. */
export interface Instant {
  now: number;
  unix: number;
}
