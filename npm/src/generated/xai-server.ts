// Made by `python -m tools.npm_types` from the schemas of the server. Do not edit.

type Greeted = {
  id: string;
  object: "realtime.session";
  instructions: "";
  voice: string;
  modalities: string[];
  turn_detection: {
    type: null;
  };
  tools: Array<Record<string, unknown>>;
  model: string;
};

type Function = {
  type: "function";
  function: {
    name: string;
    description?: string | null;
    parameters?: Record<string, unknown> | null;
  };
};

type Side = {
  format: Record<string, unknown>;
  transport: "json" | "binary";
  transcription?: Record<string, unknown>;
  speed?: number;
};

type Configured = {
  instructions: string;
  voice?: string;
  enable_noise_suppression: boolean;
  turn_detection?: Record<string, unknown>;
  reasoning?: {
    effort: "high" | "none";
  };
  model: string;
  tools?: Array<Function | Record<string, unknown>>;
  keep_context: false;
  enable_phonetic_spelling: false;
  input_audio_transcription: Record<string, unknown> | null;
  modalities: string[];
  input_audio_format: "not specified";
  output_audio_format: "not specified";
  tool_choice: "auto";
  temperature: number;
  max_response_output_tokens: "inf";
  replace?: Record<string, unknown>;
  audio: {
    input: Side;
    output: Side;
  };
};

type Added = {
  id: string;
  object: "realtime.item";
  type: "message";
  status: "in_progress" | "completed" | "incomplete" | "cancelled";
  role: "user" | "assistant" | "system";
  content: Array<{
    type: string;
    text: string;
  } | {
    type: string;
    transcript: string;
  }>;
} | {
  id: string;
  object: "realtime.item";
  type: "function_call";
  status: "in_progress" | "completed" | "incomplete" | "cancelled";
  role: "tool";
  call_id: string;
  name: string;
  arguments: string;
} | {
  id: string;
  object: "realtime.item";
  type: "function_call_output";
  status: "in_progress" | "completed" | "incomplete" | "cancelled";
  role: "tool";
  call_id: string;
  output: string;
};

type PutOut = {
  id: string;
  object: "realtime.item";
  type: "message";
  status: "in_progress" | "completed" | "incomplete" | "cancelled";
  role: "assistant";
} | {
  id: string;
  object: "realtime.item";
  type: "function_call";
  status: "in_progress" | "completed" | "incomplete" | "cancelled";
  role: "user";
  call_id: string;
  name: string;
  arguments: string;
};

type Spoken = {
  id: string;
  object: "realtime.item";
  type: "message";
  status: "in_progress" | "completed" | "incomplete" | "cancelled";
  role: "assistant";
  content: Array<{
    type: "audio";
    transcript: string;
  }>;
};

type Response = {
  id: string;
  object: "realtime.response";
  output: Array<Spoken | {
    id: string;
    object: "realtime.item";
    type: "function_call";
    status: "in_progress" | "completed" | "incomplete" | "cancelled";
    role: "user";
    call_id: string;
    name: string;
    arguments: string;
  }>;
  status: "in_progress" | "completed" | "cancelled" | "failed" | "incomplete";
  metadata?: Record<string, unknown>;
  status_details: "unimplemented";
  usage: Record<string, never>;
};

type Tokens = {
  text_tokens: number;
  audio_tokens: number;
  grok_tokens: number;
};

type Usage = {
  input_tokens: number;
  input_token_details: Tokens;
  output_tokens: number;
  output_token_details: Tokens;
  total_tokens: number;
  output_audio_seconds: number;
  billable_audio_seconds: number;
};

type Error = {
  type: string;
  code: string;
  message: string;
  param: string | null;
  event_id: string;
};

/** What the server sends, by type. */
export interface ServerEvents {
  "conversation.created": {
    type: "conversation.created";
    event_id: string;
    conversation: {
      id: string;
      object: "realtime.conversation";
    };
    previous_item_id: null;
  };
  "conversation.item.added": {
    type: "conversation.item.added";
    event_id: string;
    item: Added;
    previous_item_id: string | null;
  };
  "conversation.item.deleted": {
    type: "conversation.item.deleted";
    event_id: string;
    item_id: "";
    previous_item_id: null;
  };
  "conversation.item.input_audio_transcription.completed": {
    type: "conversation.item.input_audio_transcription.completed";
    event_id: string;
    item_id: string;
    transcript: string;
    content_index: 0;
    status: "in_progress" | "completed";
    previous_item_id: null;
  };
  "conversation.item.input_audio_transcription.updated": {
    type: "conversation.item.input_audio_transcription.updated";
    event_id: string;
    item_id: string;
    transcript: string;
    content_index: 0;
    previous_item_id: null;
  };
  "conversation.item.truncated": {
    type: "conversation.item.truncated";
    event_id: string;
    item_id: string;
    content_index: number;
    audio_end_ms: number;
    transcript: string;
    previous_item_id: null;
  };
  "error": {
    type: "error";
    event_id: string;
    error: Error;
    previous_item_id: null;
  };
  "input_audio_buffer.cleared": {
    type: "input_audio_buffer.cleared";
    event_id: string;
    previous_item_id: null;
  };
  "input_audio_buffer.committed": {
    type: "input_audio_buffer.committed";
    event_id: string;
    item_id: string;
    previous_item_id: string | null;
  };
  "input_audio_buffer.dtmf_event_received": {
    type: "input_audio_buffer.dtmf_event_received";
    event_id: string;
    event: string;
    received_at: number;
    previous_item_id: null;
  };
  "input_audio_buffer.speech_started": {
    type: "input_audio_buffer.speech_started";
    event_id: string;
    item_id: string;
    audio_start_ms: number;
    previous_item_id: null;
  };
  "input_audio_buffer.speech_stopped": {
    type: "input_audio_buffer.speech_stopped";
    event_id: string;
    item_id: string;
    audio_end_ms: number;
    previous_item_id: null;
  };
  "input_audio_buffer.timeout_triggered": {
    type: "input_audio_buffer.timeout_triggered";
    event_id: string;
    item_id: string;
    audio_start_ms: number;
    audio_end_ms: number;
    previous_item_id: null;
  };
  "mcp_list_tools.completed": {
    type: "mcp_list_tools.completed";
    event_id: string;
    item_id: string;
    previous_item_id: null;
  };
  "mcp_list_tools.failed": {
    type: "mcp_list_tools.failed";
    event_id: string;
    item_id: string;
    error: {
      type: string;
      message: string;
    };
    previous_item_id: null;
  };
  "mcp_list_tools.in_progress": {
    type: "mcp_list_tools.in_progress";
    event_id: string;
    item_id: string;
    previous_item_id: null;
  };
  "ping": {
    type: "ping";
    event_id: string;
    timestamp: number;
    previous_item_id: null;
  };
  "response.content_part.added": {
    type: "response.content_part.added";
    event_id: string;
    item_id: string;
    previous_item_id: "0";
    part: {
      type: "audio";
      transcript: "";
    };
    response_id: string;
    content_index: 0;
    output_index: 0;
  };
  "response.content_part.done": {
    type: "response.content_part.done";
    event_id: string;
    item_id: string;
    response_id: string;
    content_index: 0;
    output_index: 0;
    previous_item_id: null;
  };
  "response.created": {
    type: "response.created";
    event_id: string;
    response: Response;
    previous_item_id: null;
  };
  "response.done": {
    type: "response.done";
    event_id: string;
    response: Response;
    response_id: string;
    usage: Usage;
    previous_item_id: null;
  };
  "response.function_call_arguments.delta": {
    type: "response.function_call_arguments.delta";
    event_id: string;
    item_id: string;
    response_id: string;
    delta: string;
    call_id: string;
    previous_item_id: null;
  };
  "response.function_call_arguments.done": {
    type: "response.function_call_arguments.done";
    event_id: string;
    item_id: string;
    response_id: string;
    output_index: 0;
    call_id: string;
    name: string;
    arguments: string;
    previous_item_id: null;
  };
  "response.mcp_call.completed": {
    type: "response.mcp_call.completed";
    event_id: string;
    item_id: string;
    output_index: 0;
    previous_item_id: null;
  };
  "response.mcp_call.failed": {
    type: "response.mcp_call.failed";
    event_id: string;
    item_id: string;
    output_index: 0;
    error: {
      type: string;
      message: string;
    };
    previous_item_id: null;
  };
  "response.mcp_call.in_progress": {
    type: "response.mcp_call.in_progress";
    event_id: string;
    item_id: string;
    output_index: 0;
    previous_item_id: null;
  };
  "response.mcp_call_arguments.delta": {
    type: "response.mcp_call_arguments.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    call_id: string;
    delta: string;
    previous_item_id: null;
  };
  "response.mcp_call_arguments.done": {
    type: "response.mcp_call_arguments.done";
    event_id: string;
    response_id: string;
    item_id: string;
    call_id: string;
    name: string;
    arguments: string;
    previous_item_id: null;
  };
  "response.output_audio.delta": {
    type: "response.output_audio.delta";
    event_id: string;
    item_id: string;
    response_id: string;
    delta: string;
    content_index: 0;
    output_index: 0;
    rid: string;
    latency?: string;
    audio_duration_ms: number;
    ts: number;
    previous_item_id: null;
  };
  "response.output_audio.done": {
    type: "response.output_audio.done";
    event_id: string;
    item_id: string;
    response_id: string;
    content_index: 0;
    output_index: 0;
    previous_item_id: null;
  };
  "response.output_audio_transcript.delta": {
    type: "response.output_audio_transcript.delta";
    event_id: string;
    item_id: string;
    response_id: string;
    delta: string;
    content_index: 0;
    output_index: 0;
    rid: string;
    start_time: number;
    previous_item_id: null;
  };
  "response.output_audio_transcript.done": {
    type: "response.output_audio_transcript.done";
    event_id: string;
    item_id: string;
    transcript: string;
    response_id: string;
    content_index: 0;
    output_index: 0;
    previous_item_id: null;
  };
  "response.output_item.added": {
    type: "response.output_item.added";
    event_id: string;
    item: PutOut;
    response_id: string;
    output_index: 0;
    previous_item_id: null;
  };
  "response.output_item.done": {
    type: "response.output_item.done";
    event_id: string;
    item: PutOut;
    response_id: string;
    output_index: 0;
    previous_item_id: null;
  };
  "session.created": {
    type: "session.created";
    event_id: string;
    session: Greeted;
  };
  "session.updated": {
    session: Configured;
    type: "session.updated";
    event_id: string;
    previous_item_id: null;
  };
}
