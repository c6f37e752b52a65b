// What the fixtures of the test runners have in common: one server for a worker, isolation for a test, the check after it.

import process from "node:process";
import { conversation, lineOf } from "./conversation.js";
import { RealtapeError, indented } from "./errors.js";
import { connect, start, type IsolateOptions, type Mock } from "./mock.js";
import type { StartOptions } from "./options.js";
import type { Dialect } from "./types.js";

/** The variable with the origin of the server that `realtape/setup` started. */
export const RUNNING = "REALTAPE_ORIGIN";
/** How long clients may take to close their connections after a test, in ms. */
const CLOSING_MS = 1_000;
const POLL_MS = 20;
/** How long a hook that starts a server may take, in ms: longer than the server's own limit. */
export const START_MS = 90_000;

/** Clients made mistakes that are errors, in a test that passed otherwise. */
export class FindingsError extends RealtapeError {
  override name = "FindingsError";
}

/** Servers of this process, by their options: tests of the same options share one. */
const servers = new Map<string, Promise<Mock>>();

/** The server of these options, which is started at the first call; without options, that of `realtape/setup`, if there is one. */
export function sharedServer(options: StartOptions = {}): Promise<Mock> {
  const running = process.env[RUNNING];
  if (running && !Object.keys(options).length) return connect(running);
  const key = JSON.stringify(options);
  let server = servers.get(key);
  if (!server) {
    server = start(options);
    server.catch(() => servers.delete(key));
    servers.set(key, server);
  }
  return server;
}

/** Ends the servers of this process. */
export async function stopServers(): Promise<void> {
  const running = [...servers.values()];
  servers.clear();
  await Promise.allSettled(running.map(async (server) => (await server).stop()));
}

/** Throws FindingsError if a client made a mistake that is an error. Connections that are about to close are waited for. */
export async function check(mock: Mock): Promise<void> {
  for (const end = Date.now() + CLOSING_MS; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, POLL_MS)))
    if ((await mock.sessions()).every((session) => !session.open)) break;
  const errors = await mock.findings({ level: "error" });
  if (!errors.length) return;
  const text = indented(errors.map(lineOf).join("\n"));
  throw new FindingsError(`The client made ${errors.length} mistake${errors.length > 1 ? "s" : ""}:\n${text}\n${await conversation(mock)}`);
}

/** What a test has of its own, and the options of the server that it shares. */
export interface TestOptions<D extends Dialect = Dialect> extends IsolateOptions<D> {
  server?: StartOptions;
}

/** A mock for one test on the shared server. `name` is the test's: it decides about identifiers, faults and jitter. */
export async function isolatedFor<const D extends Dialect>(options: TestOptions<D>, name: string): Promise<Mock<D>> {
  const { server, ...own } = options;
  return (await sharedServer(server)).isolate<D>({ seed: name, ...own });
}
