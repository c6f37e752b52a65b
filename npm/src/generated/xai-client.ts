// Made by `python -m tools.npm_types` from the schemas of the server. Do not edit.

type Audio = {
  input?: AudioInput | null;
  output?: AudioOutput | null;
};

type AudioContent = {
  type: "input_audio" | "audio" | "output_audio";
  audio?: string | null;
  transcript?: string | null;
};

type AudioInput = {
  format?: Format | null;
  transport?: "json" | "binary" | null;
  transcription?: Transcription | null;
  /** accepted and not applied */
  noise_reduction?: unknown;
  /** accepted and not applied */
  turn_detection?: unknown;
};

type AudioOutput = {
  format?: Format | null;
  transport?: "json" | "binary" | null;
  speed?: number | null;
  /** accepted and not applied */
  voice?: unknown;
};

type BufferAppend = {
  type: "input_audio_buffer.append";
  audio: string;
};

type BufferClear = {
  type: "input_audio_buffer.clear";
};

type BufferCommit = {
  type: "input_audio_buffer.commit" | "conversation.item.commit";
};

/** The form that the guide shows and every client sends. */
type FlatFunction = {
  name: string;
  description?: string | null;
  parameters?: Record<string, unknown> | null;
  /** accepted and not applied */
  strict?: unknown;
  type: "function";
};

type ForceMessage = {
  type: "force_message";
  id?: string | null;
  content: Array<TextContent | AudioContent>;
  /** (default true) */
  interruptible?: boolean;
};

/** Any type is accepted, as live: one that is not supported makes static, not an error. */
type Format = {
  type: string;
  rate?: number | null;
};

type Function = {
  name: string;
  description?: string | null;
  parameters?: Record<string, unknown> | null;
  /** accepted and not applied */
  strict?: unknown;
};

type FunctionCall = {
  type: "function_call";
  id?: string | null;
  call_id?: string | null;
  name: string;
  arguments: string;
};

type FunctionCallOutput = {
  type: "function_call_output";
  id?: string | null;
  call_id: string;
  output: string;
};

/** A tool that the service runs; its options are passed back as they came. */
type HostedTool = {
  type: "web_search" | "x_search" | "file_search" | "code_interpreter" | "collections_search";
  [key: string]: unknown;
};

type ItemCreate = {
  type: "conversation.item.create";
  previous_item_id?: string | null;
  item: Message | FunctionCall | FunctionCallOutput | ForceMessage;
};

type ItemDelete = {
  type: "conversation.item.delete";
  item_id: string;
};

type ItemTruncate = {
  type: "conversation.item.truncate";
  item_id: string;
  /** (at least 0, at most 2147483648) */
  content_index: number;
  /** (at least 0, at most 9007199254740992) */
  audio_end_ms: number;
};

/** A server of tools; its options are passed back as they came. */
type McpTool = {
  type: "mcp";
  server_url: string;
  server_label: string;
  [key: string]: unknown;
};

type Message = {
  type: "message";
  id?: string | null;
  role: "user" | "assistant" | "system";
  content: Array<TextContent | AudioContent>;
};

/** The form that the vendor documents, and that comes back. */
type NestedFunction = {
  type: "function";
  function: Function;
};

type Reasoning = {
  effort: "high" | "none";
};

type ResponseCancel = {
  type: "response.cancel";
  response_id?: string | null;
};

type ResponseCreate = {
  type: "response.create";
  response?: ResponseFields | null;
};

type ResponseFields = {
  instructions?: string | null;
  metadata?: Record<string, string> | null;
};

type Resumption = {
  /** (default false) */
  enabled?: boolean;
};

/** `session` of a `session.update`, and of a request for a client secret. Null leaves a field as it is. */
type SessionFields = {
  instructions?: string | null;
  model?: string | null;
  voice?: string | null;
  reasoning?: Reasoning | null;
  turn_detection?: TurnDetection | null;
  tools?: Array<FlatFunction | NestedFunction | HostedTool | McpTool> | null;
  audio?: Audio | null;
  resumption?: Resumption | null;
  replace?: Record<string, string> | null;
  /** accepted and not applied */
  type?: unknown;
  /** accepted and not applied */
  id?: unknown;
  /** accepted and not applied */
  object?: unknown;
  modalities?: string[] | null;
  /** accepted and not applied */
  output_modalities?: unknown;
  /** accepted and not applied */
  tool_choice?: unknown;
  /** accepted and not applied */
  parallel_tool_calls?: unknown;
  /** accepted and not applied */
  max_output_tokens?: unknown;
  /** accepted and not applied */
  max_response_output_tokens?: unknown;
  /** accepted and not applied */
  temperature?: unknown;
  /** accepted and not applied */
  input_audio_format?: unknown;
  /** accepted and not applied */
  output_audio_format?: unknown;
  /** accepted and not applied */
  input_audio_transcription?: unknown;
  /** accepted and not applied */
  input_audio_noise_reduction?: unknown;
  /** accepted and not applied */
  speed?: unknown;
  /** accepted and not applied */
  tracing?: unknown;
  /** accepted and not applied */
  truncation?: unknown;
  /** accepted and not applied */
  include?: unknown;
  /** accepted and not applied */
  prompt?: unknown;
};

type SessionUpdate = {
  type: "session.update";
  session: SessionFields;
};

type TextContent = {
  type: "input_text" | "text" | "output_text";
  text: string;
};

type Transcription = {
  model?: string | null;
  language_hint?: string | null;
  keyterms?: string[] | null;
  /** accepted and not applied */
  language?: unknown;
  /** accepted and not applied */
  prompt?: unknown;
  /** accepted and not applied */
  delay?: unknown;
};

type TurnDetection = {
  type: "server_vad" | null;
  threshold?: number | null;
  silence_duration_ms?: number | null;
  prefix_padding_ms?: number | null;
  idle_timeout_ms?: number | null;
  create_response?: boolean | null;
  interrupt_response?: boolean | null;
};

/** What a client sends, by type. */
export interface ClientEvents {
  "conversation.item.commit": BufferCommit & { event_id?: string };
  "conversation.item.create": ItemCreate & { event_id?: string };
  "conversation.item.delete": ItemDelete & { event_id?: string };
  "conversation.item.truncate": ItemTruncate & { event_id?: string };
  "input_audio_buffer.append": BufferAppend & { event_id?: string };
  "input_audio_buffer.clear": BufferClear & { event_id?: string };
  "input_audio_buffer.commit": BufferCommit & { event_id?: string };
  "response.cancel": ResponseCancel & { event_id?: string };
  "response.create": ResponseCreate & { event_id?: string };
  "session.update": SessionUpdate & { event_id?: string };
}
