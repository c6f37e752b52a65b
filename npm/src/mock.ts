// A running mock server, as a test sees it.

import { rmSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { Control } from "./control.js";
import { ControlError, RealtapeError, WaitTimeoutError } from "./errors.js";
import type { NamespaceMade } from "./generated/control.js";
import type { Fault, FaultFile } from "./generated/faults.js";
import type { Scenario } from "./generated/scenario.js";
import { containerArguments, findLauncher, freePort } from "./launch.js";
import { absolute, flagged, serveArguments, temporaryFolder, type ServeOptions, type StartOptions } from "./options.js";
import { Program, type Exit } from "./program.js";
import type { ClientEvents, ClientSecret, Dialect, EventType, Finding, Instant, JournalEntry, Ledger, Level, PlacedCall, Played, Refusal, RingRequest, ServerEvents, Session, SessionLedger, Struck } from "./types.js";

/** The key of a server that accepts any. */
const ANY_KEY = "sk-realtape-any-key";
/** The longest time that one request waits for a frame, in ms. */
const LONGEST_WAIT_MS = 60_000;

/** Which sessions: the one of this id, or all. */
export interface SessionOption {
  session?: string;
}

export interface WaitOptions extends SessionOption {
  /** Longest time to wait, in ms. Default: 5,000. */
  timeoutMs?: number;
  /** `in`: from the client. `out`: from the server. Default: either. */
  way?: "in" | "out";
  /** Which one since the start or the last reset, from 1; or the `next` one from now on. Default: 1. */
  nth?: number | "next";
}

/** A phone call to be made: what the caller says and does, and where the call is announced. */
export type RingOptions = RingRequest;

export interface SecretOptions {
  /** The lifetime, in s. Default: the server's, 600. */
  seconds?: number;
  /** The session that the secret is bound to, as in the service's request. */
  session?: Record<string, unknown>;
}

/** What an isolated mock has of its own; the rest is as at the server's start. */
export interface IsolateOptions<D extends Dialect = Dialect>
  extends Pick<
    ServeOptions<D>,
    "dialect" | "cassette" | "verbatim" | "speed" | "allow" | "ignore" | "pacing" | "seed" | "clock" | "findings" | "writeTools"
  > {
  /** A scenario, or the name of a packaged one. */
  scenario?: Scenario | string;
  /** Faults, or a fault file's content; `[]` for none. */
  faults?: readonly Fault[] | FaultFile;
}

/** Where a mock is, and how it ends. */
interface Place {
  url: string;
  httpUrl: string;
  apiKey: string;
  env: Record<string, string>;
  pid: number | undefined;
  control: Control;
  cwd: string;
  end: () => Promise<Exit | undefined>;
}

/**
 * A mock server that `start()` started. `await using` stops it at the end of the block; otherwise call `stop()`.
 * It also stops when this process ends, however it ends.
 */
export class Mock<D extends Dialect = Dialect> implements AsyncDisposable {
  /** `ws://127.0.0.1:PORT/v1/realtime`: a client adds `?model=…`. */
  readonly url: string;
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string;
  /** `http://127.0.0.1:PORT/v1`, the base of the REST routes. */
  readonly httpUrl: string;
  /** `http://127.0.0.1:PORT/_mock`, the base of the control plane; in a browser, the inspector. */
  readonly controlUrl: string;
  /** A key that the server accepts. */
  readonly apiKey: string;
  /** The variables that point clients of both services at this server: `XAI_REALTIME_URL`, `OPENAI_BASE_URL`, … */
  readonly env: Readonly<Record<string, string>>;
  /** The server's process id; undefined in a container. */
  readonly pid: number | undefined;
  readonly #place: Place;
  readonly #control: Control;
  #stopped: Promise<Exit | undefined> | undefined;

  /** @internal `start()` and `isolate()` make mocks. */
  constructor(place: Place) {
    this.#place = place;
    this.#control = place.control;
    this.url = place.url;
    this.origin = new URL(place.control.base).origin;
    this.httpUrl = place.httpUrl;
    this.controlUrl = place.control.base;
    this.apiKey = place.apiKey;
    this.env = place.env;
    this.pid = place.pid;
  }

  /**
   * A mock on the same server that shares nothing with this one: an address and a key, a scenario, faults, sessions,
   * journal, ledger and clock of its own. It starts in milliseconds, so each of many concurrent tests can have one.
   * Its `stop()` closes its connections; the server goes on.
   */
  async isolate<const E extends Dialect = D>(options: IsolateOptions<E> = {}): Promise<Mock<E>> {
    const { control, cwd, pid } = this.#place;
    const { scenario, faults, cassette, writeTools, speed, ...same } = options;
    const root = control.at(`${this.origin}/_mock`);
    const made = await root.ask<NamespaceMade>("POST", "/namespaces", {
      ...same,
      ...(scenario === undefined ? {} : { scenario: typeof scenario === "string" ? scenario : absolute(scenario, cwd) }),
      ...(faults === undefined ? {} : { faults }),
      ...(cassette === undefined ? {} : { cassette: resolve(cwd, cassette) }),
      ...(speed === undefined ? {} : { speed: speed === Infinity ? "inf" : speed }),
      ...(writeTools === undefined ? {} : { write_tools: writeTools }),
    });
    const own = control.at(made.control);
    const end = async (): Promise<undefined> => void (await own.ask("DELETE", ""));
    return new Mock<E>({ url: made.ws, httpUrl: made.http, apiKey: made.api_key, env: made.environment, pid, control: own, cwd, end });
  }

  /** Replaces the scenario, for new connections; with null, they hear their own words. */
  async scenario(scenario: Scenario | null): Promise<void> {
    if (scenario === null) await this.#control.ask("DELETE", "/scenario");
    else await this.#control.ask("PUT", "/scenario", absolute(scenario, this.#place.cwd));
  }

  /** What answers new connections. */
  played(): Promise<Played> {
    return this.#control.ask("GET", "/scenario");
  }

  /** Replaces all faults, for open connections too; without arguments, removes them. */
  async faults(...faults: Fault[]): Promise<Struck[]> {
    return (await this.#control.ask<{ faults: Struck[] }>("PUT", "/faults", { faults } satisfies FaultFile)).faults;
  }

  /** The active faults, and where each was triggered. */
  async struck(): Promise<Struck[]> {
    return (await this.#control.ask<{ faults: Struck[] }>("GET", "/faults")).faults;
  }

  /** Mistakes of clients, oldest first: all, or those of a session or a level. */
  findings(options: SessionOption & { level?: Level } = {}): Promise<Finding[]> {
    return this.#control.ask("GET", `/findings${query(options)}`);
  }

  /** Refused handshakes and requests, oldest first, with the likely cause. */
  refusals(): Promise<Refusal[]> {
    return this.#control.ask("GET", "/refusals");
  }

  /** Seconds of audio, text items and cost: of one session, or of all. */
  ledger(options: { session: string }): Promise<SessionLedger>;
  ledger(options?: SessionOption): Promise<Ledger>;
  ledger(options: SessionOption = {}): Promise<Ledger | SessionLedger> {
    return this.#control.ask("GET", `/ledger${query(options)}`);
  }

  /** Past and present sessions, oldest first. */
  sessions(): Promise<Session[]> {
    return this.#control.ask("GET", "/sessions");
  }

  /** All frames in both directions, session by session. Audio is cut to 64 characters, unless `audio` is `full`. */
  async journal(options: SessionOption & { audio?: "full" } = {}): Promise<JournalEntry[]> {
    const entries = await this.#control.ask<JournalEntry[]>("GET", `/journal${query(options)}`);
    return options.session === undefined ? entries : entries.map((entry) => ({ ...entry, session: options.session! }));
  }

  /** The client's events of a type, oldest first. */
  received<T extends keyof ClientEvents<D> & string>(type: T, options?: SessionOption): Promise<Array<ClientEvents<D>[T]>>;
  received(type: string, options?: SessionOption): Promise<Array<Record<string, unknown>>>;
  async received(type: string, options: SessionOption = {}): Promise<unknown[]> {
    return this.#frames("in", type, options);
  }

  /** The server's events of a type, oldest first. */
  sent<T extends keyof ServerEvents<D> & string>(type: T, options?: SessionOption): Promise<Array<ServerEvents<D>[T]>>;
  sent(type: string, options?: SessionOption): Promise<Array<Record<string, unknown>>>;
  async sent(type: string, options: SessionOption = {}): Promise<unknown[]> {
    return this.#frames("out", type, options);
  }

  /**
   * The first frame of a type, of either side, as soon as it is there. `*` stands for any characters. Throws
   * WaitTimeoutError, which names the frames that came instead.
   */
  async waitFor(type: EventType | (string & {}), options: WaitOptions = {}): Promise<JournalEntry> {
    const { timeoutMs = 5_000, nth = 1, ...where } = options;
    const end = Date.now() + timeoutMs;
    for (;;) {
      const ms = Math.max(0, Math.min(end - Date.now(), LONGEST_WAIT_MS));
      try {
        return await this.#control.ask<JournalEntry>("GET", `/wait${query({ type, ...where, nth: String(nth), ms: String(ms) })}`);
      } catch (problem) {
        if (!(problem instanceof ControlError && problem.status === 408)) throw problem;
        if (Date.now() < end) continue;
        throw new WaitTimeoutError(`no ${type} came within ${timeoutMs} ms${problem.reason.replace(/^[^;]*/, "")}`, { cause: problem });
      }
    }
  }

  /**
   * Calls the agent: the phone rings, and the server announces the call to the webhook. Resolves at once; `call(id)` says how
   * the call stands, and `callOver(id)` waits for its end. The secret is that of `webhook_secret`, or of the server's options.
   */
  ring(options: RingOptions): Promise<PlacedCall> {
    return this.#control.ask("POST", "/calls", options);
  }

  /** How a call stands: `state`, and of a phone call `phone`: what its caller did and heard. */
  call(id: string): Promise<PlacedCall> {
    return this.#control.ask("GET", `/calls/${encodeURIComponent(id)}`);
  }

  /** The call once it is over. Throws WaitTimeoutError. */
  async callOver(id: string, timeoutMs = 60_000): Promise<PlacedCall> {
    for (const end = Date.now() + timeoutMs; ; await new Promise((done) => setTimeout(done, 50))) {
      const call = await this.call(id);
      if (call.state !== "ringing" && call.state !== "open") return call;
      if (Date.now() > end) throw new WaitTimeoutError(`the call is still ${call.state} after ${timeoutMs} ms`);
    }
  }

  /** What no client has used of the scenario, the recordings and the faults, a line each. */
  unused(): Promise<string[]> {
    return this.#control.ask("GET", "/unused");
  }

  /** With a cassette: where clients left the recording, a line each. */
  report(): Promise<string[]> {
    return this.#control.ask("GET", "/report");
  }

  /** With `clock: "manual"`: moves the clock by `ms`. Resolves once all that is due by then has happened. */
  advance(ms: number): Promise<Instant> {
    return this.#control.ask("POST", "/clock/advance", { ms });
  }

  /**
   * Forgets sessions, journal, ledger, findings and refusals, and rewinds a cassette. With `{ to: "start" }`, also puts back
   * the scenario or cassette, and the faults, of the start.
   */
  async reset(options: { to?: "start" } = {}): Promise<void> {
    await this.#control.ask("POST", "/reset", options);
  }

  /** A short-lived credential for a page in a browser, from the route of the services. */
  async clientSecret(options: SecretOptions = {}): Promise<ClientSecret> {
    const service = this.#control.at(this.httpUrl, { authorization: `Bearer ${this.apiKey}` });
    const expires_after = options.seconds === undefined ? undefined : { anchor: "created_at", seconds: options.seconds };
    return service.ask("POST", "/realtime/client_secrets", { expires_after, session: options.session });
  }

  /**
   * Ends the server, or for an isolated mock its connections. Resolves with how the server ended. Its exit code is 1 if a
   * client, with `verbatim`, did not send what was recorded, or with `findings` made a mistake that is an error.
   */
  stop(): Promise<Exit | undefined> {
    return (this.#stopped ??= this.#place.end());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #frames(way: "in" | "out", type: string, options: SessionOption): Promise<unknown[]> {
    const entries = await this.journal(options);
    return entries.filter((entry) => entry.way === way && entry.type === type).map((entry) => entry.frame);
  }
}

/** Starts a mock server of its own on a free port of 127.0.0.1. Resolves when it is ready. */
export async function start<const D extends Dialect = Dialect>(options: StartOptions<D> = {}): Promise<Mock<D>> {
  const launcher = findLauncher(options);
  let folder: string | undefined;
  const clean = (): void => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", clean);
  try {
    const served = serveArguments(options, launcher.cwd, () => (folder ??= temporaryFolder()));
    const token = options.adminToken ?? launcher.env.REALTAPE_ADMIN_TOKEN ?? (launcher.container ? crypto.randomUUID() : undefined);
    if (token !== undefined) launcher.env = { ...launcher.env, REALTAPE_ADMIN_TOKEN: token };
    if (options.webhookSecret !== undefined) launcher.env = { ...launcher.env, REALTAPE_WEBHOOK_SECRET: options.webhookSecret };
    const port = options.port ?? (launcher.container ? await freePort() : 0);
    const wrapped = launcher.container ? containerArguments(launcher, port, folder === undefined ? [] : [folder]) : [];
    const host = launcher.container ? "0.0.0.0" : "127.0.0.1";
    const args = [...wrapped, "serve", "--host", host, ...flagged("--port", port), "--json", "--with-parent", ...served];
    const program = new Program(launcher, args, options);
    const ready = await program.ready();
    const origin = launcher.container ? `http://127.0.0.1:${port}` : ready?.origin;
    if (typeof origin !== "string") {
      await program.stop();
      throw new RealtapeError("The realtape server is too old for this package: install a newer one.");
    }
    const control = new Control(program, `${origin}/_mock`, token === undefined ? {} : { authorization: `Bearer ${token}` });
    const pid = launcher.container ? undefined : (ready?.pid as number);
    const end = async (): Promise<Exit> => {
      const exit = await program.stop();
      process.off("exit", clean);
      clean();
      return exit;
    };
    const [url, httpUrl, apiKey] = [`${origin.replace(/^http/, "ws")}/v1/realtime`, `${origin}/v1`, options.apiKeys?.[0] ?? ANY_KEY];
    return new Mock<D>({ url, httpUrl, apiKey, env: variables(url, httpUrl, apiKey), pid, control, cwd: launcher.cwd, end });
  } catch (problem) {
    process.off("exit", clean);
    clean();
    throw problem;
  }
}

export interface ConnectOptions {
  /** The control plane's bearer token. Default: the variable `REALTAPE_ADMIN_TOKEN`, else none. */
  adminToken?: string;
  /** A key that the server accepts. Default: any. */
  apiKey?: string;
}

/** A mock on a server that runs already; `origin` is `http://HOST:PORT`. Its `stop()` leaves the server as it is. */
export async function connect<const D extends Dialect = Dialect>(origin: string, options: ConnectOptions = {}): Promise<Mock<D>> {
  const { adminToken = process.env.REALTAPE_ADMIN_TOKEN, apiKey = ANY_KEY } = options;
  const base = new URL(origin).origin;
  const control = new Control(undefined, `${base}/_mock`, adminToken ? { authorization: `Bearer ${adminToken}` } : {});
  await control.ask("GET", "/health");
  const [url, httpUrl] = [`${base.replace(/^http/, "ws")}/v1/realtime`, `${base}/v1`];
  const env = variables(url, httpUrl, apiKey);
  return new Mock<D>({ url, httpUrl, apiKey, env, pid: undefined, control, cwd: process.cwd(), end: async () => undefined });
}

/** The variables by which clients of both services find their service. */
export const variables = (url: string, httpUrl: string, apiKey: string): Record<string, string> => ({
  XAI_REALTIME_URL: url,
  XAI_HTTP_URL: httpUrl,
  XAI_API_KEY: apiKey,
  OPENAI_BASE_URL: httpUrl,
  OPENAI_WEBSOCKET_BASE_URL: url.replace(/\/realtime$/, ""),
  OPENAI_API_KEY: apiKey,
});

function query(parameters: object): string {
  const given = Object.entries(parameters).filter((each): each is [string, string] => typeof each[1] === "string");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
