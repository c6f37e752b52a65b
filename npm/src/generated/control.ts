// Made by `python -m tools.npm_types` from the schemas of the server. Do not edit.

import type { Fault } from "./faults.js";
import type { Scenario } from "./scenario.js";

export type Dialect = "auto" | "xai" | "openai" | "azure" | "xai@2026-04" | "xai@2026-07" | "xai@2026-08" | "xai@2026-09" | "xai@2026-10" | "openai@2026-08" | "openai@2026-10" | "azure@2026-10";

/** One frame. Without `?session=` it has its `session`; a final transcript has `heard_by`. */
export type Entry = {
  session?: string;
  /** Seconds since the session opened. */
  at: number;
  way: "in" | "out";
  type: EventType | string | null;
  /** The event; an object or a text for what is no event. */
  frame: unknown;
  heard_by?: "clip" | "transcriber" | "script" | "nobody";
  findings?: Finding[];
};

/** The types of events that either service knows. */
export type EventType = "conversation.created" | "conversation.item.added" | "conversation.item.create" | "conversation.item.delete" | "conversation.item.deleted" | "conversation.item.done" | "conversation.item.input_audio_transcription.completed" | "conversation.item.input_audio_transcription.delta" | "conversation.item.input_audio_transcription.failed" | "conversation.item.input_audio_transcription.updated" | "conversation.item.retrieve" | "conversation.item.retrieved" | "conversation.item.truncate" | "conversation.item.truncated" | "error" | "force_message" | "input_audio_buffer.append" | "input_audio_buffer.clear" | "input_audio_buffer.cleared" | "input_audio_buffer.commit" | "input_audio_buffer.committed" | "input_audio_buffer.dtmf_event_received" | "input_audio_buffer.speech_started" | "input_audio_buffer.speech_stopped" | "input_audio_buffer.timeout_triggered" | "mcp_list_tools.completed" | "mcp_list_tools.failed" | "mcp_list_tools.in_progress" | "output_audio_buffer.cleared" | "output_audio_buffer.started" | "output_audio_buffer.stopped" | "ping" | "rate_limits.updated" | "response.cancel" | "response.content_part.added" | "response.content_part.done" | "response.create" | "response.created" | "response.done" | "response.function_call_arguments.delta" | "response.function_call_arguments.done" | "response.mcp_call.completed" | "response.mcp_call.failed" | "response.mcp_call.in_progress" | "response.mcp_call_arguments.delta" | "response.mcp_call_arguments.done" | "response.output_audio.delta" | "response.output_audio.done" | "response.output_audio_transcript.delta" | "response.output_audio_transcript.done" | "response.output_item.added" | "response.output_item.done" | "response.output_text.delta" | "response.output_text.done" | "session.created" | "session.update" | "session.updated";

export type Finding = {
  rule: FindingRule;
  level: Level;
  at: number;
  frame: number | null;
  message: string;
  fix: string;
  session: string | null;
};

export type FindingRule = "appended-transcripts" | "audio-before-configuration" | "audio-format" | "audio-in-call" | "audio-rate" | "audio-speed" | "beta-header" | "cancelled-call-answered" | "commit-under-vad" | "empty-commit" | "hosted-call-answered" | "ignored-error" | "ignored-field" | "key-in-browser" | "key-in-query" | "latest-model" | "left-open" | "microphone-stops" | "model-ends" | "nested-tool" | "no-backoff" | "no-event-channel" | "no-retry" | "nothing-asked" | "odd-audio-bytes" | "overlapping-replies" | "reconnecting" | "repeated-error" | "repeated-item-id" | "repeated-write" | "reply-over-preamble" | "scenario-error" | "session-cap" | "short-silence" | "silent-audio" | "speech-uncommitted" | "stale-response-id" | "summed-billable-seconds" | "tool-call-unanswered" | "tool-result-repeated" | "tool-result-unanswered" | "tool-result-unknown" | "trimmed-offer" | "truncate-beyond" | "unanswered-item" | "undeclared-call" | "unknown-field" | "unknown-model" | "unmatched-turn" | "unreachable-rule" | "unrecorded-turn" | "untold-interruption" | "unverified-webhook";

export type Instant = {
  now: number;
  unix: number;
};

/** What all sessions used. */
export type Ledger = {
  /** (at least 0) */
  sessions: number;
  audio_in_s: number;
  audio_out_s: number;
  /** (at least 0) */
  text_items: number;
  hosted_calls: Record<string, number>;
  telephony_s: number;
  /** USD, as text so that no digit is lost. */
  usd: string;
};

export type Level = "off" | "warn" | "error";

export type NamespaceMade = {
  id: string;
  ws: string;
  http: string;
  control: string;
  dialect: string;
  /** (at least 0) */
  sessions: number;
  /** (at least 0) */
  open_sessions: number;
  api_key: string;
  api_keys: {
    xai: string;
    openai: string;
  };
  environment: Record<string, string>;
};

export type PhoneCall = {
  status: "ringing" | "open" | "over" | "referred" | "rejected" | "unanswered" | "busy";
  seconds: number;
  sip_status: number | null;
  hung_up_by: "caller" | "client" | "server" | null;
  digits: string;
  webhooks: Array<{
    at: number;
    status: number | null;
    problem: string;
  }>;
  turns: Array<{
    text: string;
    began_s: number;
    ended_s: number | null;
    barge_in: boolean;
    answered_s: number | null;
    silent_s: number | null;
  }>;
};

export type PlacedCall = {
  id: string;
  came: "webrtc" | "phone";
  dialect: string;
  state: "ringing" | "open" | "over" | "rejected" | "unanswered" | "busy";
  /** Unix second. */
  rang_at: number;
  from: string;
  to: string;
  /** The id of its session, once it was accepted. */
  session: string | null;
  transferred_to: string | null;
  /** Why it is over. */
  reason: string | null;
  /** (at least 0) */
  sidebands: number;
  /** What the caller did and heard; null for a call that did not come by phone. */
  phone: PhoneCall | null;
};

export type Played = {
  plays: "echo" | "chat" | "responder" | "scenario" | "cassette";
  name: string;
  verbatim: boolean;
  scenario: Scenario | null;
};

export type Refusal = {
  /** Unix second. */
  at: number;
  method: string;
  path: string;
  status: number;
  error: string;
  cause: string;
};

/** A call to be made. At most one of `text`, `audio` and `script` says what the caller does. */
export type RingRequest = {
  /** The caller's number, or a `sip:` address. */
  from?: string;
  /** The number that is called. Default: the only registered one. */
  to?: string;
  /** What the caller says: one turn, or a list of turns. */
  text?: string | string[];
  /** A WAV file in base64 that the caller plays. */
  audio?: string;
  /** What the caller does, in order. */
  script?: Array<string | Record<string, unknown>>;
  /** Keys that the caller presses at the end: 0 to 9, *, #, A to D. */
  digits?: string;
  /** Further headers of the SIP INVITE. */
  headers?: Record<string, string>;
  /** Where the call is announced: an address of this machine. */
  webhook?: string;
  /** The secret that signs it: whsec_ and base64. */
  webhook_secret?: string;
  /** How long it rings, such as 30s. */
  answer_within?: string;
  /** How long the caller waits to be greeted, such as 2s. */
  greeting?: string;
  /** With which a transfer is refused. (at least 400, at most 699) */
  transfer_status?: number;
};

/** As the service answers; OpenAI's holds the `session`. */
export type Secret = {
  value: string;
  /** (at least 0) */
  expires_at: number;
  session?: Record<string, unknown>;
};

export type Session = {
  id: string;
  /** Among the sessions since the last reset, from 1. (at least 0) */
  number: number;
  conversation_id: string;
  dialect: string;
  /** How its client came. */
  came: "websocket" | "webrtc" | "phone";
  /** The call whose session it is. */
  call_id: string | null;
  sidebands: Array<{
    opened: number;
    open: boolean;
    closed_s: number | null;
    close_code: number | null;
    /** (at least 0) */
    messages_in: number;
    /** (at least 0) */
    messages_out: number;
  }>;
  /** Unix second. */
  opened: number;
  open: boolean;
  /** Seconds from its opening to its end; null while open. */
  closed_s: number | null;
  close_code: number | null;
  close_reason: string;
  /** (at least 0) */
  frames: number;
  /** (at least 0) */
  dropped: number;
  /** (at least 0) */
  findings: number;
  heard: Array<{
    item_id: string;
    at: number;
    words: string;
    heard_by: "clip" | "transcriber" | "script" | "nobody";
  }>;
};

export type SessionLedger = {
  model: string | null;
  audio_in_s: number;
  audio_out_s: number;
  /** (at least 0) */
  text_items: number;
  hosted_calls: Record<string, number>;
  telephony_s: number;
  /** USD, as text so that no digit is lost. */
  usd: string;
  prices_as_of: string;
  tokens?: Record<string, {
    /** (at least 0) */
    text: number;
    /** (at least 0) */
    cached_text: number;
    /** (at least 0) */
    audio: number;
    /** (at least 0) */
    cached_audio: number;
    /** (at least 0) */
    text_out: number;
    /** (at least 0) */
    thought: number;
    /** (at least 0) */
    audio_out: number;
    /** (at least 0) */
    image: number;
    /** (at least 0) */
    cached_image: number;
  }>;
  transcribed_s?: Record<string, number>;
};

export type Struck = {
  /** (at least 0) */
  id: number;
  fault: Fault;
  /** (at least 0) */
  fired: number;
  where: Array<{
    session: string;
    at: number;
    event: string;
  }>;
};
