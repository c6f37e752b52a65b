// Requests to a running server.

import { ControlError, RealtapeError } from "./errors.js";
import type { Program } from "./program.js";

/** After a request failed, how long the server's end may take to show, in ms. */
const END_MS = 500;

export class Control {
  constructor(
    readonly program: Program | undefined,
    readonly base: string,
    readonly headers: Readonly<Record<string, string>>,
  ) {}

  /** The same server at another base. */
  at(base: string, headers = this.headers): Control {
    return new Control(this.program, base, headers);
  }

  /** The JSON that a route answers. Throws ControlError, or ServerExitError if the server has ended. */
  async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const route = `${method} ${new URL(this.base + path).pathname}`;
    const headers = body === undefined ? this.headers : { ...this.headers, "content-type": "application/json" };
    let response: Response;
    try {
      response = await fetch(this.base + path, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
    } catch (problem) {
      throw this.program && (await this.program.endsWithin(END_MS)) ? this.program.error() : unreachable(route, problem);
    }
    const text = await response.text();
    if (!response.ok) throw new ControlError(messageOf(text) || response.statusText, response.status, route);
    return JSON.parse(text) as T;
  }
}

function unreachable(route: string, problem: unknown): RealtapeError {
  const cause = problem instanceof Error && problem.cause instanceof Error ? problem.cause.message : String(problem);
  return new RealtapeError(`${route}: the server did not answer (${cause})`, { cause: problem });
}

/** The sentence of a refusal: xAI's and the control plane's `error`, or that of OpenAI's object. */
function messageOf(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: string | { message?: string } };
    return typeof error === "string" ? error : (error?.message ?? text);
  } catch {
    return text;
  }
}
