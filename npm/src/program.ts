// One process of the server's program: its ready line, its log, its end.

import { execFile, spawn, type ChildProcessByStdio } from "node:child_process";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { ServerExitError } from "./errors.js";
import type { Launcher } from "./launch.js";

/** Characters of stderr that are kept; the oldest are dropped. */
const MOST_LOG = 64 * 1024;
const DEFAULT_START_MS = 60_000;
/** Between asking the program to end and each harder way, in ms. */
const PATIENCE_MS = 5_000;

const COMMANDS: readonly string[] = ["serve", "record", "replay"];

/** How a program ended. */
export interface Exit {
  /** The exit code, or null if a signal ended it. */
  code: number | null;
  signal: string | null;
  /** The end of what it wrote on stderr, at most 64 KiB. */
  log: string;
}

export interface ProgramOptions {
  /** Longest time until the program is ready, in ms. Default: 60,000. */
  startTimeoutMs?: number;
  /** Is given each line that the program writes on stderr. */
  onLog?: (line: string) => void;
}

export class Program {
  readonly exited: Promise<Exit>;
  #exit: Exit | undefined;
  #log = "";
  #line = "";
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;

  constructor(
    readonly launcher: Launcher,
    readonly args: readonly string[],
    readonly options: ProgramOptions = {},
  ) {
    const [program, ...first] = launcher.command;
    // Standard input stays open: when this process ends, however it ends, the program sees its end, and stops.
    this.#child = spawn(program, [...first, ...args], { cwd: launcher.cwd, env: launcher.env, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stdin.on("error", () => {}); // it has ended already
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => this.#take(text));
    this.exited = new Promise((resolve) => {
      this.#child.once("error", (problem) => this.#take(`${problem.message}\n`));
      this.#child.once("close", (code, signal) => {
        if (this.#line) options.onLog?.(this.#line);
        this.#exit = { code, signal, log: this.#log };
        resolve(this.#exit);
      });
    });
  }

  /** What it wrote on stderr so far. */
  get log(): string {
    return this.#log;
  }

  /** How it ended; undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** All of stdout, to the program's end. */
  async output(): Promise<string> {
    const pieces: string[] = [];
    for await (const piece of this.#child.stdout.setEncoding("utf8")) pieces.push(piece as string);
    return pieces.join("");
  }

  /** The first line on stdout, as JSON; undefined if the program succeeded without one. Throws ServerExitError. */
  async ready(): Promise<Record<string, unknown> | undefined> {
    const ms = this.options.startTimeoutMs ?? DEFAULT_START_MS;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => (timer = setTimeout(() => resolve("late"), ms)));
    try {
      const line = await Promise.race([this.#firstLine(), late, this.exited]);
      if (line === "late") {
        await this.stop();
        throw this.#error(`realtape was not ready within ${ms} ms; the option startTimeoutMs gives it more time`);
      }
      if (typeof line === "string" && line.startsWith("{")) return JSON.parse(line) as Record<string, unknown>;
      const exit = await this.stop();
      if (exit.code === 0 && typeof line === "string") return undefined;
      throw this.error();
    } finally {
      clearTimeout(timer);
      this.#release();
    }
  }

  /** What to throw where the program is needed and has ended. */
  error(): ServerExitError {
    const { code, signal } = this.#exit ?? { code: null, signal: null };
    const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
    const command = this.args.find((word) => COMMANDS.includes(word)); // without its arguments: a key may be among them
    return this.#error(`realtape ${command} ${how} (${this.#child.spawnfile})`);
  }

  /**
   * Ends the program: by closing its standard input, then by SIGTERM, then by SIGKILL, 5 s apart. SIGKILL ends only the client
   * of a container, so the container is killed by its name.
   */
  async stop(): Promise<Exit> {
    this.#child.ref();
    this.#child.stdin.end();
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const ended = await within(this.exited, PATIENCE_MS);
      if (ended) return ended;
      this.#child.kill(signal);
    }
    const { container, env } = this.launcher;
    if (container) await new Promise<void>((done) => execFile(container.program, ["kill", container.name], { env, timeout: PATIENCE_MS }, () => done()));
    return this.exited;
  }

  /** Its exit, if it ends within `ms`. */
  endsWithin(ms: number): Promise<Exit | undefined> {
    return within(this.exited, ms);
  }

  #error(what: string): ServerExitError {
    return new ServerExitError(what, this.#exit?.code ?? null, this.#exit?.signal ?? null, this.#log);
  }

  #take(text: string): void {
    this.#log = (this.#log + text).slice(-MOST_LOG);
    const lines = (this.#line + text).split("\n");
    this.#line = (lines.pop() ?? "").slice(-MOST_LOG);
    for (const line of lines) this.options.onLog?.(line);
  }

  #firstLine(): Promise<string> {
    return new Promise((resolve) => {
      let text = "";
      const take = (piece: string): void => {
        text += piece;
        const end = text.indexOf("\n");
        if (end < 0) return;
        this.#child.stdout.off("data", take).resume();
        resolve(text.slice(0, end));
      };
      this.#child.stdout.setEncoding("utf8").on("data", take);
    });
  }

  /** From now on, this process may end while the program runs; then the program ends too. */
  #release(): void {
    this.#child.unref();
    for (const pipe of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) (pipe as unknown as Socket).unref();
  }
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
