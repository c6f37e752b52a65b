// Recording a call through a proxy, and replaying a recorded client.

import { RealtapeError } from "./errors.js";
import { findLauncher, type Launcher, type LaunchOptions } from "./launch.js";
import { Mock, variables } from "./mock.js";
import { flagged } from "./options.js";
import { Program, type Exit, type ProgramOptions } from "./program.js";

export interface RecordOptions extends LaunchOptions, ProgramOptions {
  /** The service's WebSocket address: `wss://api.x.ai/v1/realtime`, `wss://api.openai.com/v1/realtime`, or a mock's. */
  upstream: string;
  /** The cassette to write, by convention `*.tape`. */
  out: string;
  /**
   * `once`: record only if the cassette is missing; `all`: replace it. Default: refuse to replace it.
   */
  mode?: "once" | "all";
  /** End all calls when together they cost this, in US dollars. */
  maxUsd?: number;
  /** End all calls this many seconds after the first one opened. */
  maxSeconds?: number;
  /** `outline` keeps no audio, only its length, hash and peak level. Default: `keep`. */
  audio?: "keep" | "outline";
  /** Also keep a recording in which the service accepted no call. */
  keepRefused?: boolean;
  /** Variables whose values are secrets. */
  secretEnv?: readonly string[];
  secretPatterns?: readonly string[];
  secretPaths?: readonly string[];
  /** Default: a free port. */
  port?: number;
}

/** A proxy that records what passes through it. */
export class Recorder implements AsyncDisposable {
  readonly #program: Program;

  /** @internal `record()` makes recorders. */
  constructor(
    /** `ws://127.0.0.1:PORT/v1/realtime`: clients connect here, with the service's key. */
    readonly url: string,
    /** `http://127.0.0.1:PORT/v1`. */
    readonly httpUrl: string,
    /** The cassette. */
    readonly out: string,
    program: Program,
  ) {
    this.#program = program;
  }

  /** The variables that point clients of both services here, except for the keys. */
  get env(): Record<string, string> {
    const all = variables(this.url, this.httpUrl, "");
    return Object.fromEntries(Object.entries(all).filter(([name]) => !name.endsWith("_KEY")));
  }

  /** Ends the calls and the recording. Throws ServerExitError if not everything was recorded. */
  async stop(): Promise<Exit> {
    const exit = await this.#program.stop();
    if (exit.code !== 0) throw this.#program.error();
    return exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts a recording proxy. With `mode: "once"`, resolves with null if the cassette is there already. */
export async function record(options: RecordOptions & { mode: "once" }): Promise<Recorder | null>;
export async function record(options: RecordOptions): Promise<Recorder>;
export async function record(options: RecordOptions): Promise<Recorder | null> {
  const { upstream, out, mode, maxUsd, maxSeconds, audio, keepRefused, secretEnv, secretPatterns, secretPaths, port = 0 } = options;
  const flags = {
    "--upstream": upstream,
    "--out": out,
    "--port": port,
    "--mode": mode,
    "--max-usd": maxUsd,
    "--max-seconds": maxSeconds,
    "--audio": audio,
    "--keep-refused": keepRefused,
    "--secret-env": secretEnv,
    "--secret-pattern": secretPatterns,
    "--secret-path": secretPaths,
  };
  const args = Object.entries(flags).flatMap(([flag, value]) => flagged(flag, value));
  const program = new Program(onThisMachine(options, "record"), ["record", "--json", "--with-parent", ...args], options);
  const ready = await program.ready();
  return ready ? new Recorder(String(ready.ws), String(ready.http), out, program) : null;
}

export interface ReplayOptions extends LaunchOptions {
  /** A mock, or a WebSocket address. */
  to: Mock | string;
  /** 2 is twice as fast. Default: 1. */
  speed?: number;
  /** Record the new conversation in this cassette. */
  out?: string;
  /** Stop when it costs this, in US dollars. */
  maxUsd?: number;
  /** Stop after this many seconds. */
  maxSeconds?: number;
  /** The variable with the API key for the address; see `realtape replay --help` for the default. */
  keyEnv?: string;
}

/** How the server's events differ from the recorded ones. */
export interface ReplayReport {
  /** Whether nothing differs, is missing or was cut off. */
  same: boolean;
  drift: Array<{ kind: string; event: string; path: string; at: number; text: string }>;
  /** Events that did not come in time. */
  overdue: string[];
  /** The limit that ended the replay, or the end of this process. */
  stopped: string | null;
  expected_events: number;
  received_events: number;
  out: string | null;
}

/** Sends the client's frames of a recording to a server, and compares its events with the recorded ones. */
export async function replay(cassette: string, options: ReplayOptions): Promise<ReplayReport> {
  const { to, speed, out, maxUsd, maxSeconds, keyEnv } = options;
  const launcher = onThisMachine(options, "replay");
  const isMock = to instanceof Mock;
  if (isMock) launcher.env = { ...launcher.env, REALTAPE_API_KEY: to.apiKey };
  const flags = {
    "--to": isMock ? to.url : to,
    "--speed": speed,
    "--out": out,
    "--max-usd": maxUsd,
    "--max-seconds": maxSeconds,
    "--key-env": isMock ? "REALTAPE_API_KEY" : keyEnv,
  };
  const args = Object.entries(flags).flatMap(([flag, value]) => flagged(flag, value));
  const program = new Program(launcher, ["replay", cassette, "--json", "--with-parent", ...args]);
  const text = await program.output();
  const exit = await program.exited;
  // Without a report, exit code 1 is that of a crash: stderr tells why.
  if ((exit.code !== 0 && exit.code !== 1) || !text.trim()) throw program.error();
  return JSON.parse(text) as ReplayReport;
}

function onThisMachine(options: LaunchOptions, command: string): Launcher {
  const launcher = findLauncher(options);
  if (launcher.container)
    throw new RealtapeError(`${command} does not run in a container: it connects to addresses of this machine. Install realtape here.`);
  return launcher;
}
