// The fixtures and matchers under vitest, jest and Playwright: what passes, and how failures look.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");

// As in a project that has the package installed.
const installed = join(root, "node_modules", "realtape");
if (!existsSync(installed)) symlinkSync(root, installed, "junction");

function run(program: string, ...words: string[]): { code: number | null; out: string; err: string } {
  const file = join(root, "node_modules", program);
  const done = spawnSync(process.execPath, ["--experimental-vm-modules", "--no-warnings", file, ...words], { cwd: root, env: { ...process.env, NO_COLOR: "1" }, encoding: "utf8", timeout: 90_000 });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

const MISTAKE = /FindingsError: The client made 1 mistake:\n +error tool-result-unknown: .* → .*\nsession 1 \(.*\): closed with 1005/;
const ORDER = /Expected conversation\.item\.create after response\.create; it came only before, at \d\.\d{3} s\.\nsession 1/;

interface JestReport {
  success: boolean;
  testResults: Array<{ assertionResults: Array<{ title: string; status: string; failureMessages: string[] }> }>;
}

function reported(out: string): Record<string, string> {
  const report = JSON.parse(out) as JestReport;
  const results = report.testResults.flatMap((file) => file.assertionResults);
  return Object.fromEntries(results.map((each) => [each.title, each.failureMessages.join("\n") || each.status]));
}

test("vitest", () => {
  const file = join(root, "build", "vitest.json");
  const done = run("vitest/vitest.mjs", "run", "--root", "tests/runners/vitest", "--reporter", "default", "--reporter", "json", "--outputFile.json", file);
  const results = reported(readFileSync(file, "utf8"));
  assert.equal(results["answers from its own scenario"], "passed");
  assert.equal(results["sees nothing of another test"], "passed");
  assert.match(results["a mistake of the client"]!, MISTAKE);
  assert.equal(results["a mistake of the client"]!.match(/FindingsError/g)?.length, 1);
  assert.match(results["an order that was another"]!, ORDER);
  assert.match(results["a price that is too high"]!, /Expected a cost of at most 0 USD; it is 0\.\d{6} USD/);
  assert.match(results["a matcher for something else"]!, /toHaveNoFindings is for a mock of realtape/);
  assert.match(done.out + done.err, /realtape conversation of "a failure of another kind"\nsession 1 /);
  assert.equal(done.code, 1);
});

test("jest", () => {
  const done = run("jest/bin/jest.js", "--config", "tests/runners/jest/jest.config.js", "--json", "--silent");
  const results = reported(done.out);
  assert.equal(results["answers from its own scenario"], "passed");
  assert.equal(results["sees nothing of another test"], "passed");
  assert.match(results["a mistake of the client"]!, MISTAKE);
  assert.match(results["an order that was another"]!, /Expected response\.create; it came not at all\.\nno client connected/);
  assert.equal(done.code, 1);
  assert.doesNotMatch(done.err, /did not exit/);
});

interface PlaywrightReport {
  suites: Array<{ specs: Array<{ title: string; tests: Array<{ results: Array<{ status: string; errors: Array<{ message: string }>; attachments: Array<{ name: string; body?: string }> }> }> }> }>;
}

test("Playwright", () => {
  const done = run("@playwright/test/cli.js", "test", "--config", "tests/runners/playwright", "--reporter", "json");
  const report = JSON.parse(done.out) as PlaywrightReport;
  const specs = report.suites.flatMap((suite) => suite.specs).map((spec) => [spec.title, spec.tests[0]!.results[0]!] as const);
  const results = Object.fromEntries(specs.map(([title, { status, errors }]) => [title, errors.map((each) => each.message).join("\n") || status]));
  assert.equal(results["answers from its own scenario"], "passed");
  assert.equal(results["sees nothing of another test"], "passed");
  assert.match(results["a mistake of the client"]!, MISTAKE);
  assert.match(results["an order that was another"]!, /Expected response\.create; it came not at all\./);
  const [attached] = Object.fromEntries(specs)["an order that was another"]!.attachments;
  assert.equal(Buffer.from(attached!.body!, "base64").toString(), "no client connected");
  assert.equal(done.code, 1);
});

test("one server for all files of a run", () => {
  const done = run("vitest/vitest.mjs", "run", "--root", "tests/runners/shared");
  assert.equal(done.code, 0, done.out + done.err);
  const origins = [...done.out.matchAll(/served at (\S+)/g)].map(([, origin]) => origin);
  assert.equal(origins.length, 2);
  assert.equal(new Set(origins).size, 1);
  for (const words of [["@playwright/test/cli.js", "test", "--config", "tests/runners/shared"], ["jest/bin/jest.js", "--config", "tests/runners/shared/jest.config.js"]]) {
    const other = run(words[0]!, ...words.slice(1));
    assert.equal(other.code, 0, other.out + other.err);
  }
});
