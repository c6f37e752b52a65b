// What the control plane answers, and the events of both services.

import type { Dialect, Entry } from "./generated/control.js";
import type { ClientEvents as OpenAIClientEvents } from "./generated/openai-client.js";
import type { ServerEvents as OpenAIServerEvents } from "./generated/openai-server.js";
import type { ClientEvents as XaiClientEvents } from "./generated/xai-client.js";
import type { ServerEvents as XaiServerEvents } from "./generated/xai-server.js";

export type { OpenAIClientEvents, OpenAIServerEvents, XaiClientEvents, XaiServerEvents };
export type {
  Dialect,
  EventType,
  Finding,
  FindingRule,
  Instant,
  Ledger,
  Level,
  PhoneCall,
  PlacedCall,
  Played,
  Refusal,
  RingRequest,
  Secret as ClientSecret,
  Session,
  SessionLedger,
  Struck,
} from "./generated/control.js";

/** One frame, or a fault that was injected, with its session. */
export type JournalEntry = Entry & { session: string };

type IsXai<D> = D extends "xai" | `xai@${string}` ? true : false;
type IsOpenAI<D> = D extends "openai" | "azure" | `${"openai" | "azure"}@${string}` ? true : false;

/** What clients send, by type: of the dialect's service, or of both where the dialect does not say. */
export type ClientEvents<D extends Dialect = Dialect> =
  IsXai<D> extends true ? XaiClientEvents : IsOpenAI<D> extends true ? OpenAIClientEvents : Both<XaiClientEvents, OpenAIClientEvents>;

/** What the server sends, by type: of the dialect's service, or of both where the dialect does not say. */
export type ServerEvents<D extends Dialect = Dialect> =
  IsXai<D> extends true ? XaiServerEvents : IsOpenAI<D> extends true ? OpenAIServerEvents : Both<XaiServerEvents, OpenAIServerEvents>;

type Both<A, B> = { [Type in keyof A | keyof B]: (Type extends keyof A ? A[Type] : never) | (Type extends keyof B ? B[Type] : never) };
