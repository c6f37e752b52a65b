import process from "node:process";
import { RUNNING } from "./fixture.js";
import { start } from "./mock.js";

/**
 * The global setup of vitest, jest or Playwright: one server for all files and workers of a run. Without it, each file, or
 * each worker of Playwright, starts one. Returns what ends the server; it also ends with the run.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const mock = await start();
  process.env[RUNNING] = mock.origin;
  return async () => {
    delete process.env[RUNNING];
    await mock.stop();
  };
}
