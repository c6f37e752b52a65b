// Made by `python -m tools.npm_types` from the schemas of the server. Do not edit.

type Format = {
  type: "audio/pcm";
  rate: number;
} | {
  type: "audio/pcmu";
} | {
  type: "audio/pcma";
};

type Voice = string | {
  id: string;
};

type ServerVad = {
  type: "server_vad";
  threshold: number;
  prefix_padding_ms: number;
  silence_duration_ms: number;
};

type Detection = {
  type: "server_vad";
  threshold: number;
  prefix_padding_ms: number;
  silence_duration_ms: number;
  idle_timeout_ms: number | null;
  create_response: boolean;
  interrupt_response: boolean;
} | ServerVad | {
  type: "semantic_vad";
  eagerness: string;
  create_response: boolean;
  interrupt_response: boolean;
} | {
  type: "semantic_vad";
  eagerness: string;
} | null;

type Transcription = {
  model: string | null;
  language: string | null;
  prompt: string | null;
  languages?: string[] | null;
  keywords?: string[] | null;
  delay?: string | null;
};

type Input = {
  format: Format;
  transcription: Transcription | null;
  noise_reduction: {
    type: string;
  } | null;
  turn_detection: Detection;
};

type Choice = string | {
  type: "function";
  name: string;
} | {
  type: "mcp";
  server_label: string;
  name?: string | null;
};

type Realtime = {
  type: "realtime";
  object: "realtime.session";
  id: string;
  model: string;
  output_modalities: string[];
  instructions: string;
  tools: Array<{
    type: "function";
    name: string;
    description: string | null;
    parameters: Record<string, unknown> | null;
  } | Record<string, unknown>>;
  tool_choice: Choice;
  max_output_tokens: "inf" | number;
  tracing: "auto" | Record<string, unknown> | null;
  truncation: "auto" | "disabled" | Record<string, unknown>;
  prompt: Record<string, unknown> | null;
  expires_at: number;
  audio: {
    input: Input;
    output: {
      format: Format;
      voice: Voice;
      speed: number;
    };
  };
  include: string[] | null;
};

type Transcribing = {
  type: "transcription";
  object: "realtime.transcription_session";
  id: string;
  expires_at: number;
  audio: {
    input: Input;
  };
  include: string[] | null;
};

type Session = Realtime | Transcribing;

type Item = {
  id: string;
  type: "message";
  status: string;
  role: string;
  content: Array<{
    type: "input_text";
    text: string;
  } | {
    type: "input_audio";
    transcript: string | null;
  } | {
    type: "input_image";
    image_url: string;
    detail: string;
  } | {
    type: "output_text";
    text: string;
  } | {
    type: "output_audio";
    transcript: string;
  }>;
  phase?: string;
} | {
  id: string;
  type: "function_call";
  status: string;
  name: string;
  call_id: string;
  arguments: string;
} | {
  id: string;
  type: "function_call_output";
  call_id: string;
  output: string;
} | {
  id: string;
  type: "mcp_call";
  server_label: string;
  name: string;
  arguments: string;
  approval_request_id: string | null;
  output: string | null;
  error: {
    type: string;
    code?: number;
    message: string;
  } | null;
} | {
  id: string;
  type: "mcp_list_tools";
  server_label: string;
  tools: Array<{
    name: string;
    description?: string;
    input_schema: Record<string, unknown>;
    annotations: Record<string, unknown> | null;
  }>;
} | {
  id: string;
  type: "mcp_approval_request";
  server_label: string;
  name: string;
  arguments: string;
} | {
  id: string;
  type: "mcp_approval_response";
  approval_request_id: string;
  approve: boolean;
  reason: string | null;
};

type Part = {
  type: "text";
  text: string;
} | {
  type: "audio";
  transcript: string;
};

type Cached = {
  text_tokens: number;
  audio_tokens: number;
  image_tokens: number;
};

type Usage = {
  total_tokens: number;
  input_tokens: number;
  output_tokens: number;
  input_token_details: {
    text_tokens: number;
    audio_tokens: number;
    image_tokens: number;
    cached_tokens: number;
    cached_tokens_details: Cached;
  };
  output_token_details: {
    text_tokens: number;
    audio_tokens: number;
    reasoning_tokens?: number;
  };
};

type Details = {
  type: "cancelled";
  reason: "turn_detected" | "client_cancelled";
} | {
  type: "incomplete";
  reason: string;
} | {
  type: "failed";
  error: {
    type: string;
    code: string | null;
    message: string;
  };
} | null;

type Response = {
  object: "realtime.response";
  id: string;
  status: "in_progress" | "completed" | "cancelled" | "failed" | "incomplete";
  status_details: Details;
  output: Item[];
  conversation_id: string | null;
  output_modalities: string[];
  max_output_tokens: "inf" | number;
  audio: {
    output: {
      format: Format;
      voice: Voice;
    };
  };
  usage: Usage | null;
  metadata: Record<string, unknown> | null;
};

type Logprobs = Array<{
  token: string;
  logprob: number;
  bytes: number[];
}>;

type Tokens = {
  type: "tokens";
  total_tokens: number;
  input_tokens: number;
  input_token_details: {
    text_tokens: number;
    audio_tokens: number;
  };
  output_tokens: number;
};

type Limit = {
  name: string;
  limit: number;
  remaining: number;
  reset_seconds: number;
};

type Error = {
  type: string;
  code: string | null;
  message: string;
  param: string | null;
  event_id: string | null;
};

/** What the server sends, by type. */
export interface ServerEvents {
  "conversation.item.added": {
    type: "conversation.item.added";
    event_id: string;
    previous_item_id: string | null;
    item: Item;
  };
  "conversation.item.deleted": {
    type: "conversation.item.deleted";
    event_id: string;
    item_id: string;
  };
  "conversation.item.done": {
    type: "conversation.item.done";
    event_id: string;
    previous_item_id: string | null;
    item: Item;
  };
  "conversation.item.input_audio_transcription.completed": {
    type: "conversation.item.input_audio_transcription.completed";
    event_id: string;
    item_id: string;
    content_index: number;
    transcript: string;
    usage: Tokens | {
      type: "duration";
      seconds: number;
    };
    logprobs?: Logprobs;
  };
  "conversation.item.input_audio_transcription.delta": {
    type: "conversation.item.input_audio_transcription.delta";
    event_id: string;
    item_id: string;
    content_index: number;
    delta: string;
    obfuscation: string;
    logprobs?: Logprobs;
  };
  "conversation.item.input_audio_transcription.failed": {
    type: "conversation.item.input_audio_transcription.failed";
    event_id: string;
    item_id: string;
    content_index: number;
    error: {
      type: string;
      code: string | null;
      message: string;
      param: null;
    };
  };
  "conversation.item.retrieved": {
    type: "conversation.item.retrieved";
    event_id: string;
    item: {
      id: string;
      type: "message";
      status: string;
      role: string;
      content: Array<{
        type: "input_text";
        text: string;
      } | {
        type: "input_audio";
        transcript: string | null;
        audio?: string;
      } | {
        type: "input_image";
        image_url: string;
        detail: string;
      } | {
        type: "output_text";
        text: string;
      } | {
        type: "output_audio";
        transcript: string;
        audio?: string;
      }>;
      phase?: string;
    } | {
      id: string;
      type: "function_call";
      status: string;
      name: string;
      call_id: string;
      arguments: string;
    } | {
      id: string;
      type: "function_call_output";
      call_id: string;
      output: string;
    } | {
      id: string;
      type: "mcp_call";
      server_label: string;
      name: string;
      arguments: string;
      approval_request_id: string | null;
      output: string | null;
      error: {
        type: string;
        code?: number;
        message: string;
      } | null;
    } | {
      id: string;
      type: "mcp_list_tools";
      server_label: string;
      tools: Array<{
        name: string;
        description?: string;
        input_schema: Record<string, unknown>;
        annotations: Record<string, unknown> | null;
      }>;
    } | {
      id: string;
      type: "mcp_approval_request";
      server_label: string;
      name: string;
      arguments: string;
    } | {
      id: string;
      type: "mcp_approval_response";
      approval_request_id: string;
      approve: boolean;
      reason: string | null;
    };
  };
  "conversation.item.truncated": {
    type: "conversation.item.truncated";
    event_id: string;
    item_id: string;
    content_index: number;
    audio_end_ms: number;
  };
  "error": {
    type: "error";
    event_id: string;
    error: Error;
  };
  "input_audio_buffer.cleared": {
    type: "input_audio_buffer.cleared";
    event_id: string;
  };
  "input_audio_buffer.committed": {
    type: "input_audio_buffer.committed";
    event_id: string;
    previous_item_id: string | null;
    item_id: string;
  };
  "input_audio_buffer.dtmf_event_received": {
    type: "input_audio_buffer.dtmf_event_received";
    event: string;
    received_at: number;
  };
  "input_audio_buffer.speech_started": {
    type: "input_audio_buffer.speech_started";
    event_id: string;
    audio_start_ms: number;
    item_id: string;
  };
  "input_audio_buffer.speech_stopped": {
    type: "input_audio_buffer.speech_stopped";
    event_id: string;
    audio_end_ms: number;
    item_id: string;
  };
  "input_audio_buffer.timeout_triggered": {
    type: "input_audio_buffer.timeout_triggered";
    event_id: string;
    audio_start_ms: number;
    audio_end_ms: number;
    item_id: string;
  };
  "mcp_list_tools.completed": {
    type: "mcp_list_tools.completed";
    event_id: string;
    item_id: string;
  };
  "mcp_list_tools.failed": {
    type: "mcp_list_tools.failed";
    event_id: string;
    item_id: string;
  };
  "mcp_list_tools.in_progress": {
    type: "mcp_list_tools.in_progress";
    event_id: string;
    item_id: string;
  };
  "output_audio_buffer.cleared": {
    type: "output_audio_buffer.cleared";
    event_id: string;
    response_id: string;
  };
  "output_audio_buffer.started": {
    type: "output_audio_buffer.started";
    event_id: string;
    response_id: string;
  };
  "output_audio_buffer.stopped": {
    type: "output_audio_buffer.stopped";
    event_id: string;
    response_id: string;
  };
  "rate_limits.updated": {
    type: "rate_limits.updated";
    event_id: string;
    rate_limits: Limit[];
  };
  "response.content_part.added": {
    type: "response.content_part.added";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    part: Part;
  };
  "response.content_part.done": {
    type: "response.content_part.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    part: Part;
  };
  "response.created": {
    type: "response.created";
    event_id: string;
    response: Response;
  };
  "response.done": {
    type: "response.done";
    event_id: string;
    response: Response;
  };
  "response.function_call_arguments.delta": {
    type: "response.function_call_arguments.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    call_id: string;
    delta: string;
    obfuscation: string;
  };
  "response.function_call_arguments.done": {
    type: "response.function_call_arguments.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    call_id: string;
    name: string;
    arguments: string;
  };
  "response.mcp_call.completed": {
    type: "response.mcp_call.completed";
    event_id: string;
    output_index: number;
    item_id: string;
  };
  "response.mcp_call.failed": {
    type: "response.mcp_call.failed";
    event_id: string;
    output_index: number;
    item_id: string;
  };
  "response.mcp_call.in_progress": {
    type: "response.mcp_call.in_progress";
    event_id: string;
    output_index: number;
    item_id: string;
  };
  "response.mcp_call_arguments.delta": {
    type: "response.mcp_call_arguments.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    delta: string;
    obfuscation: string;
  };
  "response.mcp_call_arguments.done": {
    type: "response.mcp_call_arguments.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    arguments: string;
  };
  "response.output_audio.delta": {
    type: "response.output_audio.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    delta: string;
  };
  "response.output_audio.done": {
    type: "response.output_audio.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
  };
  "response.output_audio_transcript.delta": {
    type: "response.output_audio_transcript.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    delta: string;
    obfuscation: string;
  };
  "response.output_audio_transcript.done": {
    type: "response.output_audio_transcript.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    transcript: string;
  };
  "response.output_item.added": {
    type: "response.output_item.added";
    event_id: string;
    response_id: string;
    output_index: number;
    item: Item;
  };
  "response.output_item.done": {
    type: "response.output_item.done";
    event_id: string;
    response_id: string;
    output_index: number;
    item: Item;
  };
  "response.output_text.delta": {
    type: "response.output_text.delta";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    delta: string;
    obfuscation: string;
  };
  "response.output_text.done": {
    type: "response.output_text.done";
    event_id: string;
    response_id: string;
    item_id: string;
    output_index: number;
    content_index: number;
    text: string;
  };
  "session.created": {
    type: "session.created";
    event_id: string;
    session: Session;
  };
  "session.updated": {
    type: "session.updated";
    event_id: string;
    session: Session;
  };
}
