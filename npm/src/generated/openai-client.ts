// Made by `python -m tools.npm_types` from the schemas of the server. Do not edit.

type ApprovalFilter = {
  always?: ToolFilter | null;
  never?: ToolFilter | null;
};

type ApprovalResponse = {
  id?: string | null;
  object?: "realtime.item" | null;
  status?: "completed" | "incomplete" | "in_progress" | null;
  type: "mcp_approval_response";
  approval_request_id: string;
  approve: boolean;
  reason?: string | null;
};

type AssistantMessage = {
  id?: string | null;
  object?: "realtime.item" | null;
  status?: "completed" | "incomplete" | "in_progress" | null;
  type: "message";
  role: "assistant";
  content: OutputContent[];
  phase?: "commentary" | "final_answer" | null;
};

type Audio = {
  input?: AudioInput | null;
  output?: AudioOutput | null;
};

type AudioInput = {
  format?: Pcm | Pcmu | Pcma | null;
  transcription?: Transcription | null;
  noise_reduction?: NoiseReduction | null;
  turn_detection?: ServerVad | SemanticVad | null;
};

type AudioOutput = {
  format?: Pcm | Pcmu | Pcma | null;
  voice?: "alloy" | "ash" | "ballad" | "coral" | "echo" | "sage" | "shimmer" | "verse" | "marin" | "cedar" | CustomVoice | null;
  speed?: number | null;
};

type BufferAppend = {
  event_id?: string | null;
  type: "input_audio_buffer.append";
  audio: string;
};

type BufferClear = {
  event_id?: string | null;
  type: "input_audio_buffer.clear";
};

type BufferCommit = {
  event_id?: string | null;
  type: "input_audio_buffer.commit";
};

type ChosenFunction = {
  type: "function";
  name: string;
};

type ChosenMcp = {
  type: "mcp";
  server_label: string;
  name?: string | null;
};

type CustomVoice = {
  id: string;
};

type Function = {
  type: "function";
  name: string;
  description?: string | null;
  parameters?: Record<string, unknown> | null;
};

type FunctionCall = {
  id?: string | null;
  object?: "realtime.item" | null;
  status?: "completed" | "incomplete" | "in_progress" | null;
  type: "function_call";
  call_id?: string | null;
  name: string;
  arguments: string;
};

type FunctionCallOutput = {
  id?: string | null;
  object?: "realtime.item" | null;
  status?: "completed" | "incomplete" | "in_progress" | null;
  type: "function_call_output";
  call_id: string;
  output: string;
};

type InputAudio = {
  type: "input_audio";
  audio?: string | null;
  transcript?: string | null;
  format?: unknown;
};

type InputImage = {
  type: "input_image";
  image_url: string;
  detail?: "auto" | "low" | "high" | null;
};

type InputText = {
  type: "input_text";
  text: string;
};

type ItemCreate = {
  event_id?: string | null;
  type: "conversation.item.create";
  previous_item_id?: string | null;
  item: UserMessage | SystemMessage | AssistantMessage | FunctionCall | FunctionCallOutput | ApprovalResponse;
};

type ItemDelete = {
  event_id?: string | null;
  type: "conversation.item.delete";
  item_id: string;
};

type ItemReference = {
  type: "item_reference";
  id: string;
};

type ItemRetrieve = {
  event_id?: string | null;
  type: "conversation.item.retrieve";
  item_id: string;
};

type ItemTruncate = {
  event_id?: string | null;
  type: "conversation.item.truncate";
  item_id: string;
  /** (at least 0) */
  content_index: number;
  /** (at least 0) */
  audio_end_ms: number;
};

type Mcp = {
  type: "mcp";
  server_label: string;
  allowed_tools?: string[] | ToolFilter | null;
  require_approval?: "always" | "never" | ApprovalFilter | null;
  [key: string]: unknown;
};

type NoiseReduction = {
  type: "near_field" | "far_field";
};

/** A client cannot add an assistant's audio: either type requires a text (clients' live checks). */
type OutputContent = {
  type: "output_text" | "output_audio";
  text: string;
  transcript?: string | null;
  audio?: string | null;
};

type Pcm = {
  type: "audio/pcm";
  /** (default 24000) */
  rate?: number | null;
};

type Pcma = {
  type: "audio/pcma";
};

type Pcmu = {
  type: "audio/pcmu";
};

type Prompt = {
  id: string;
  [key: string]: unknown;
};

type RealtimeSession = {
  output_modalities?: Array<"text" | "audio"> | null;
  instructions?: string | null;
  tools?: Array<Function | Mcp> | null;
  tool_choice?: "none" | "auto" | "required" | ChosenFunction | ChosenMcp | null;
  max_output_tokens?: "inf" | number | null;
  parallel_tool_calls?: boolean | null;
  reasoning?: Reasoning | null;
  prompt?: Prompt | null;
  type: "realtime";
  model?: string | null;
  audio?: Audio | null;
  tracing?: "auto" | Tracing | null;
  truncation?: "auto" | "disabled" | RetentionRatio | null;
  include?: Array<"item.input_audio_transcription.logprobs"> | null;
};

type Reasoning = {
  effort?: "minimal" | "low" | "medium" | "high" | "xhigh" | null;
};

type ResponseAudio = {
  output?: ResponseAudioOutput | null;
};

type ResponseAudioOutput = {
  format?: Pcm | Pcmu | Pcma | null;
  voice?: "alloy" | "ash" | "ballad" | "coral" | "echo" | "sage" | "shimmer" | "verse" | "marin" | "cedar" | CustomVoice | null;
};

type ResponseCancel = {
  event_id?: string | null;
  type: "response.cancel";
  response_id?: string | null;
};

type ResponseCreate = {
  event_id?: string | null;
  type: "response.create";
  response?: ResponseFields | null;
};

type ResponseFields = {
  output_modalities?: Array<"text" | "audio"> | null;
  instructions?: string | null;
  tools?: Array<Function | Mcp> | null;
  tool_choice?: "none" | "auto" | "required" | ChosenFunction | ChosenMcp | null;
  max_output_tokens?: "inf" | number | null;
  parallel_tool_calls?: boolean | null;
  reasoning?: Reasoning | null;
  prompt?: Prompt | null;
  audio?: ResponseAudio | null;
  conversation?: "auto" | "none" | null;
  metadata?: Record<string, string> | null;
  input?: Array<UserMessage | SystemMessage | AssistantMessage | FunctionCall | FunctionCallOutput | ItemReference> | null;
};

type RetentionRatio = {
  type: "retention_ratio";
  /** (at least 0, at most 1) */
  retention_ratio: number;
  token_limits?: TokenLimits | null;
};

type SemanticVad = {
  type: "semantic_vad";
  eagerness?: "low" | "medium" | "high" | "auto" | null;
  create_response?: boolean | null;
  interrupt_response?: boolean | null;
};

type ServerVad = {
  type: "server_vad";
  threshold?: number | null;
  prefix_padding_ms?: number | null;
  silence_duration_ms?: number | null;
  idle_timeout_ms?: number | null;
  create_response?: boolean | null;
  interrupt_response?: boolean | null;
};

type SessionClose = {
  event_id?: string | null;
  type: "session.close";
};

type SessionUpdate = {
  event_id?: string | null;
  type: "session.update";
  session: RealtimeSession | TranscriptionSession;
};

type SystemMessage = {
  id?: string | null;
  object?: "realtime.item" | null;
  status?: "completed" | "incomplete" | "in_progress" | null;
  type: "message";
  role: "system";
  content: InputText[];
};

type TokenLimits = {
  post_instructions?: number | null;
};

type ToolFilter = {
  tool_names?: string[] | null;
  read_only?: boolean | null;
};

type Tracing = {
  workflow_name?: string | null;
  group_id?: string | null;
  metadata?: Record<string, unknown> | null;
};

type Transcription = {
  model?: string | null;
  language?: string | null;
  prompt?: string | null;
  languages?: string[] | null;
  keywords?: string[] | null;
  delay?: "minimal" | "low" | "medium" | "high" | "xhigh" | null;
};

type TranscriptionAudio = {
  input?: AudioInput | null;
};

type TranscriptionSession = {
  type: "transcription";
  audio?: TranscriptionAudio | null;
  include?: Array<"item.input_audio_transcription.logprobs"> | null;
};

type TranslationAppend = {
  event_id?: string | null;
  type: "session.input_audio_buffer.append";
  audio: string;
};

type UserMessage = {
  id?: string | null;
  object?: "realtime.item" | null;
  status?: "completed" | "incomplete" | "in_progress" | null;
  type: "message";
  role: "user";
  content: Array<InputText | InputAudio | InputImage>;
};

/** What a client sends, by type. */
export interface ClientEvents {
  "conversation.item.create": ItemCreate & { event_id?: string };
  "conversation.item.delete": ItemDelete & { event_id?: string };
  "conversation.item.retrieve": ItemRetrieve & { event_id?: string };
  "conversation.item.truncate": ItemTruncate & { event_id?: string };
  "input_audio_buffer.append": BufferAppend & { event_id?: string };
  "input_audio_buffer.clear": BufferClear & { event_id?: string };
  "input_audio_buffer.commit": BufferCommit & { event_id?: string };
  "response.cancel": ResponseCancel & { event_id?: string };
  "response.create": ResponseCreate & { event_id?: string };
  "session.close": SessionClose & { event_id?: string };
  "session.input_audio_buffer.append": TranslationAppend & { event_id?: string };
  "session.update": SessionUpdate & { event_id?: string };
}
