// The options of `start()`, and the arguments of `realtape serve` that they stand for.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { FindingRule, Level } from "./generated/control.js";
import type { Fault, FaultFile } from "./generated/faults.js";
import type { Scenario, Step } from "./generated/scenario.js";
import type { LaunchOptions } from "./launch.js";
import type { ProgramOptions } from "./program.js";
import type { Dialect } from "./types.js";

/** What `realtape serve --help` and docs/reference/cli.md explain. Times are in the unit of the option's name. */
export interface ServeOptions<D extends Dialect = Dialect> {
  /** Default: that of the cassette, else `xai`. */
  dialect?: D;
  /** A scenario, or the path or packaged name of one. Default: the server repeats the user's words. */
  scenario?: Scenario | string;
  /** A recording to play, or a folder of recordings. */
  cassette?: string;
  /** With `cassette`: frame by frame; the client must send what was recorded. */
  verbatim?: boolean;
  /** With `verbatim`: 2 is twice as fast, Infinity is at once. Default: 1. */
  speed?: number;
  /** With `verbatim`: types of server events that may remain unsent. */
  allow?: readonly string[];
  /** With `verbatim`: what may differ: a path such as `session.instructions`, `date`, `time`, `id`, `/PATTERN/`. */
  ignore?: readonly string[];
  /** `live`: as fast as the service was recorded; `realtime`: as fast as audio plays; `burst`: at once. Default: `live`. */
  pacing?: "live" | "realtime" | "burst";
  /** Faults, a fault file's content, or its path. */
  faults?: readonly Fault[] | FaultFile | string;
  /** Same seed and same messages: same identifiers, text and audio. Default: 0. */
  seed?: string | number;
  /** Default: `tone`, which needs no synthesizer. */
  voice?: "auto" | "hibari" | "espeak" | "tone";
  vad?: "energy" | "silero";
  /** Default: `off`: known clips and the scenario decide the words of a spoken turn. */
  transcriber?: "auto" | "off" | (string & {});
  hearing?: "auto" | "script";
  mcp?: "scripted" | "live";
  /** An OpenAI-compatible chat endpoint; its model answers what no rule does. */
  chat?: string;
  chatModel?: string;
  /** The variable with the chat endpoint's key. */
  chatKeyEnv?: string;
  /** `manual` is moved by `mock.advance()`. Default: `wall`. */
  clock?: "wall" | `wall:${number}` | "manual";
  /** Keys to accept. Default: any key that is not empty. */
  apiKeys?: readonly string[];
  /** Keys of a team without credits. */
  blockedKeys?: readonly string[];
  /** The path of an accounts file. */
  accounts?: string;
  maxSessions?: number;
  requestsPerMinute?: number;
  sessionMinutes?: number;
  idleMinutes?: number;
  resumptionMinutes?: number;
  snapshotMs?: number;
  secretSeconds?: number;
  secretMaxSeconds?: number;
  /** Origins of web pages that may open sessions as any client may. Default: pages of this machine. */
  allowOrigins?: readonly string[];
  /** The severity of all findings, or of each rule. Default: each rule's own. */
  findings?: Level | Partial<Record<FindingRule, Level>>;
  /** Tools with side effects, by name. Default: guessed from their names. */
  writeTools?: readonly string[];
  /** Where a ringing phone is announced, unless the call says it. */
  webhook?: string;
  /** The secret that signs that: `whsec_` and base64. */
  webhookSecret?: string;
  telephony?: boolean;
  /** Validate each event that the server sends. */
  check?: boolean;
  /** A folder that gets a cassette for each session. */
  record?: string;
  /** Variables whose values are secrets, for recordings. */
  secretEnv?: readonly string[];
  secretPatterns?: readonly string[];
  secretPaths?: readonly string[];
  /** The control plane's bearer token. Default: none; then only this machine is served. */
  adminToken?: string;
  /** Default: a free port. */
  port?: number;
  /** Further arguments of `realtape serve`. */
  args?: readonly string[];
}

export interface StartOptions<D extends Dialect = Dialect> extends ServeOptions<D>, LaunchOptions, ProgramOptions {}

/** How each option is written on the command line. Paths and contents are `files()`'s. */
export const FLAGS = {
  dialect: "--dialect",
  scenario: "--scenario",
  cassette: "--cassette",
  verbatim: "--verbatim",
  speed: "--speed",
  allow: "--allow",
  ignore: "--ignore",
  pacing: "--pacing",
  faults: "--faults",
  seed: "--seed",
  voice: "--voice",
  vad: "--vad",
  transcriber: "--transcriber",
  hearing: "--hearing",
  mcp: "--mcp",
  chat: "--chat",
  chatModel: "--chat-model",
  chatKeyEnv: "--chat-key-env",
  clock: "--clock",
  apiKeys: "--api-key",
  blockedKeys: "--blocked-key",
  accounts: "--accounts",
  maxSessions: "--max-sessions",
  requestsPerMinute: "--requests-per-minute",
  sessionMinutes: "--session-minutes",
  idleMinutes: "--idle-minutes",
  resumptionMinutes: "--resumption-minutes",
  snapshotMs: "--snapshot-ms",
  secretSeconds: "--secret-seconds",
  secretMaxSeconds: "--secret-max-seconds",
  allowOrigins: "--allow-origin",
  writeTools: "--write-tool",
  webhook: "--webhook",
  telephony: "--telephony",
  check: "--check",
  record: "--record",
  secretEnv: "--secret-env",
  secretPatterns: "--secret-pattern",
  secretPaths: "--secret-path",
} as const satisfies Partial<Record<keyof ServeOptions, string>>;

const DEFAULTS = { voice: "tone", transcriber: "off" } as const;

/** The arguments for these options; scenarios and faults that are values are written to `folder()`. */
export function serveArguments(options: ServeOptions, cwd: string, folder: () => string): string[] {
  const { scenario, faults } = options;
  const values: Record<string, unknown> = { ...DEFAULTS, ...withoutUndefined(options) };
  if (scenario !== undefined && typeof scenario !== "string") values.scenario = written(folder(), "scenario.json", absolute(scenario, cwd));
  if (faults !== undefined && typeof faults !== "string") values.faults = written(folder(), "faults.json", "faults" in faults ? faults : { faults });
  const args = Object.entries(FLAGS).flatMap(([name, flag]) => flagged(flag, values[name]));
  const { findings } = options;
  if (typeof findings === "string") args.push("--findings", findings);
  else for (const [rule, level] of Object.entries(findings ?? {})) args.push("--finding", `${rule}=${level}`);
  return [...args, ...(options.args ?? [])];
}

export function flagged(flag: string, value: unknown): string[] {
  if (value === undefined || value === false) return [];
  if (value === true) return [flag];
  if (value === Infinity) return [flag, "inf"];
  if (Array.isArray(value)) return value.flatMap((each) => [flag, String(each)]);
  return [flag, String(value)];
}

/** A new folder for the files of one server. */
export const temporaryFolder = (): string => mkdtempSync(join(tmpdir(), "realtape-"));

/** The scenario with the paths of its audio files made absolute: the file that it is written to is elsewhere. */
export function absolute(scenario: Scenario, cwd: string): Scenario {
  const clip = <T extends object>(each: T): T => ("audio" in each && typeof each.audio === "string" ? { ...each, audio: resolve(cwd, each.audio) } : each);
  // What has another form than the type says is left to the server, which explains it.
  const each = <T>(list: T[], change: (entry: T) => T): T[] => (Array.isArray(list) ? list.map(change) : list);
  const steps = (reply: Step[]): Step[] => each(reply, clip);
  const replying = <T extends { reply: Step[] }>(entry: T): T => ({ ...entry, reply: steps(entry.reply) });
  const heard = scenario.hears ? { hears: each(scenario.hears, clip) } : {};
  if ("turns" in scenario) return { ...scenario, ...heard, turns: each(scenario.turns, replying) };
  return { ...scenario, ...heard, sequence: each(scenario.sequence, (entry) => (Array.isArray(entry) ? steps(entry) : replying(entry))) };
}

function written(folder: string, name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(content, undefined, 2));
  return path;
}

const withoutUndefined = (options: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
