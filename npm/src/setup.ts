import { randomUUID } from "node:crypto";
import process from "node:process";
import { RUNNING } from "./fixture.js";
import { findLauncher } from "./launch.js";
import { start } from "./mock.js";

/**
 * The global setup of vitest, jest or Playwright: one server for all files and workers of a run. Without it, each file, or
 * each worker of Playwright, starts one. Returns what ends the server; it also ends with the run.
 */
export default async function setup(): Promise<() => Promise<void>> {
  // A server in a container asks for a token, which the workers find in the environment of this process.
  if (findLauncher().container) process.env.REALTAPE_ADMIN_TOKEN ||= randomUUID();
  const mock = await start();
  process.env[RUNNING] = mock.origin;
  return async () => {
    delete process.env[RUNNING];
    await mock.stop();
  };
}
