import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { record, replay, ServerExitError, start, type Mock } from "realtape";
import { Caller } from "./caller.js";

const folder = mkdtempSync(join(tmpdir(), "realtape-test-"));
const out = join(folder, "call.tape");
const scenario = { turns: [{ reply: [{ say: "At nine." }] }] };
let service: Mock;

before(async () => {
  service = await start({ scenario, pacing: "burst" });
});
after(async () => {
  await service.stop();
  rmSync(folder, { recursive: true });
});

test("a call through the proxy is recorded, played again, and replayed against another server", async () => {
  const recorder = await record({ upstream: service.url, out });
  assert.deepEqual(Object.keys(recorder.env).sort(), ["OPENAI_BASE_URL", "OPENAI_WEBSOCKET_BASE_URL", "XAI_HTTP_URL", "XAI_REALTIME_URL"]);
  const caller = await Caller.dial({ url: recorder.url, apiKey: service.apiKey });
  assert.equal(await caller.ask("When do you open?"), "At nine.");
  await caller.close();
  assert.equal((await recorder.stop()).code, 0);

  assert.equal(await record({ upstream: service.url, out, mode: "once" }), null);
  await assert.rejects(record({ upstream: service.url, out }), (problem) => {
    assert.ok(problem instanceof ServerExitError);
    assert.match(problem.message, /is there already; choose another name/);
    return true;
  });

  await using played = await start({ cassette: out });
  const again = await Caller.dial(played);
  assert.equal(await again.ask("When do you open?"), "At nine.");
  assert.deepEqual(await played.report(), []);
  await again.close();

  await using strict = await start({ cassette: out, verbatim: true, speed: Infinity });
  const deviant = await Caller.dial(strict);
  deviant.answerNothing();
  await deviant.close();
  await strict.waitFor("close");
  assert.match((await strict.report()).join("\n"), /conversation\.item\.create/);
  assert.equal((await strict.stop())?.code, 1);

  const same = await replay(out, { to: service, speed: 100 });
  assert.deepEqual([same.same, same.drift], [true, []]);
  await service.scenario({ turns: [{ reply: [{ say: "Closed." }, { call: { name: "hang_up" } }] }] });
  const other = await replay(out, { to: service, speed: 100 });
  assert.equal(other.same, false);
  assert.ok(other.drift.length > 0);
});

test("a replay ends with the process that asked for it", async () => {
  await using silent = await start({ faults: [{ at: "response.done", do: "drop" }] });
  const script = `import { replay } from "${import.meta.resolve("realtape")}"; await replay(process.argv[1], { to: process.argv[2] });`;
  const caller = spawn(process.execPath, ["--input-type=module", "--eval", script, out, silent.url], { stdio: "inherit" });
  await silent.waitFor("response.create", { timeoutMs: 20_000 });
  caller.kill("SIGKILL");
  await silent.waitFor("close", { timeoutMs: 8_000 }); // the replay itself would wait for 15 s
});

test("a crash of the replay is an error with its reason", async () => {
  const crash = join(folder, "crash");
  writeFileSync(crash, "#!/bin/sh\necho 'MemoryError: no room' >&2\nexit 1\n", { mode: 0o755 });
  await assert.rejects(replay(out, { to: service, command: crash }), (problem) => {
    assert.ok(problem instanceof ServerExitError);
    assert.match(problem.message, /realtape replay ended with exit code 1/);
    assert.match(problem.message, /MemoryError: no room/);
    return true;
  });
});

test("a recording of nothing is an error that says so", async () => {
  const recorder = await record({ upstream: service.url, out: join(folder, "refused.tape") });
  await service.faults({ at: "handshake", do: { status: 503 } });
  await assert.rejects(Caller.dial({ url: recorder.url, apiKey: service.apiKey }), /503/);
  await assert.rejects(recorder.stop(), /the service accepted no call/);
  assert.equal(existsSync(join(folder, "refused.tape")), false);
});

test("a cassette that is missing is an error that names it", async () => {
  await assert.rejects(replay(join(folder, "missing.tape"), { to: service }), /missing\.tape/);
});
