// Made by `python -m tools.npm_types` from the schemas of the server. Do not edit.

export type Call = {
  /** A mapping of arguments, or a text to be sent as it is. */
  arguments?: Record<string, unknown> | string;
  /** The name of the client's function. */
  name: string;
};

export type Chat = {
  /** Added to the instructions of the session. */
  instructions?: string;
};

export type Clip = {
  /** A WAV file, relative to this file. */
  audio: string;
  /** Its transcript. */
  text: string;
};

export type Entry = Step[] | {
  /** The transcript of a spoken turn. */
  heard?: string | Misheard | Transcribed;
  /** The steps of the response. */
  reply: Step[];
};

export type Fail = {
  /** The error's code, or null. */
  code: string | null;
  /** The error's message. */
  message?: string;
  /** The error's type; default that of the code. */
  type?: string;
};

export type Hosted = {
  /** A mapping of arguments, or a text to be sent as it is. */
  arguments?: Record<string, unknown> | string;
  /** One of web_search, x_search, file_search, code_interpreter, collections_search, mcp. */
  tool: string;
  /** The tool's result, any value. */
  result?: unknown;
  /** For mcp, instead of result: the call fails with this text. */
  error?: string;
  /** Number of billed calls. (at least 0, at most 1000, default 1) */
  calls?: number;
  /** For mcp: the label of the server. */
  server?: string;
  /** For mcp: the name of its tool. */
  name?: string;
  /** Whether the call shows as one of a function (xAI), under `name`. */
  events?: "function_call";
};

export type Misheard = {
  /** The transcription fails with this error. */
  fail: Fail;
  /** What the rules match. */
  says?: string;
};

export type Pause = `${number}${"ms" | "s" | "m" | "min"}` | {
  /** Milliseconds, at most 600000. (at least 0, at most 600000) */
  ms: number;
} | {
  s: number;
} | {
  seconds: number;
};

export type Rule = {
  /** The condition; without one the rule always matches. */
  when?: When;
  /** The transcript of a spoken turn, if nothing else tells it. */
  heard?: string | Misheard | Transcribed;
  /** The steps of the response. */
  reply: Step[];
  /** The rule matches at most this often per connection. (at least 1) */
  times?: number;
  /** Values to store, by name. */
  remember?: Record<string, unknown>;
  /** Names whose values are deleted. */
  forget?: string[];
};

export type Step = {
  /** Speak this text, a template. */
  say: string;
  /** Beside say: the voice, instead of the session's. */
  voice?: string;
  /** Beside say: the speed; 1 is normal. (more than 0, at most 4) */
  speed?: number;
  /** Beside say: a WAV file to play, relative to this file. */
  audio?: string;
  /** Beside say: a message of its own, or not. */
  item?: "new" | "same";
  /** Beside say: its phase. */
  phase?: "commentary" | "final_answer";
} | {
  /** Call a function of the client. */
  call: Call;
} | {
  /** The service runs a tool of its own. */
  hosted: Hosted;
} | {
  /** Wait: 500ms, 2s or {ms: 500}. */
  pause: Pause;
} | {
  /** End the response as failed. */
  fail: Fail;
} | {
  /** Let a language model answer (serve --chat). */
  chat: Chat;
};

export type Transcribed = {
  /** The transcript. */
  says: string;
  /** Whether the final transcript comes before the interim one (xAI). */
  overtakes: boolean;
};

export type When = {
  /** A pattern that the user's words match, ignoring case. */
  says?: string;
  /** This turn has a result of this function. */
  tool?: string;
  /** The idle timeout triggered. */
  silence?: true;
  /** Always holds. */
  always?: true;
  /** Beside tool: whether, or with what, the result failed. */
  failed?: boolean | string;
  /** Values said now. */
  captures?: Record<string, unknown> | string[];
  /** Values remembered. */
  known?: Record<string, unknown> | string[];
  /** A pattern that the instructions match. */
  instructions?: string;
  /** A condition that does not hold. */
  not?: When;
  /** Conditions of which one holds. */
  any?: When[];
  /** The keys of the telephone that the caller pressed; true is any. */
  pressed?: boolean | string;
};

/** What a scenario file may contain. */
export type Scenario = {
  /** A name for reports. */
  name?: string;
  /** Rules; the first that matches responds. */
  turns: Rule[];
  /** Known clips and their transcripts. */
  hears?: Clip[];
  /** What decides the words of a spoken turn. (default "auto") */
  hearing?: "auto" | "script";
  /** Values to read from every turn, by name. */
  captures?: Record<string, unknown>;
  /** A date, or {instructions: PATTERN} with the date in a group. */
  today?: string | {
    instructions: string;
  };
} | {
  /** A name for reports. */
  name?: string;
  /** The first entry is the first response, and so on. */
  sequence: Entry[];
  /** Known clips and their transcripts. */
  hears?: Clip[];
  /** What decides the words of a spoken turn. (default "auto") */
  hearing?: "auto" | "script";
  /** Values to read from every turn, by name. */
  captures?: Record<string, unknown>;
  /** A date, or {instructions: PATTERN} with the date in a group. */
  today?: string | {
    instructions: string;
  };
};
