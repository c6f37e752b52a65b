import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { connect, ControlError, ServerExitError, start, WaitTimeoutError, type Fault, type Mock, type Scenario } from "realtape";
import { Caller } from "./caller.js";

const booking: Scenario = {
  turns: [
    { when: { says: "open" }, reply: [{ say: "At nine." }] },
    { when: { says: "cleaning" }, reply: [{ call: { name: "check", arguments: { service: "cleaning" } } }] },
    { reply: [{ say: "Pardon?" }] },
  ],
};

describe("a mock", () => {
  let mock: Mock<"xai">;
  before(async () => {
    mock = await start({ dialect: "xai", scenario: booking, pacing: "burst", faults: [{ at: "handshake", do: { status: 503 }, session: 1 }] });
  });
  after(async () => {
    assert.equal((await mock.stop())?.code, 0); // mistakes of clients do not count without the option `findings`
  });

  test("injects the faults that it was started with, and counts them", async () => {
    await assert.rejects(Caller.dial(mock), /503/);
    const [struck] = await mock.struck();
    assert.equal(struck?.fired, 1);
    assert.deepEqual(await mock.faults(), []);
  });

  test("answers from its scenario, and shows what it received, sent and cost", async () => {
    await mock.reset();
    const caller = await Caller.dial(mock);
    assert.equal(await caller.ask("When do you open?"), "At nine.");
    await caller.close();
    const [item] = await mock.received("conversation.item.create");
    assert.equal(item?.item.type, "message");
    const [done] = await mock.sent("response.done");
    assert.equal(done?.response.status, "completed");
    const [session, ...others] = await mock.sessions();
    assert.equal(others.length, 0);
    assert.deepEqual((await mock.journal()).map((entry) => entry.session), Array(session!.frames).fill(session!.id));
    assert.deepEqual(await mock.journal({ session: session!.id }), await mock.journal());
    const ledger = await mock.ledger();
    assert.ok(ledger.audio_out_s > 0 && Number(ledger.usd) > 0);
    assert.equal((await mock.ledger({ session: session!.id })).usd, ledger.usd);
    assert.deepEqual(await mock.findings(), []);
    assert.match((await mock.unused()).join("\n"), /scenario\.json:\d+: turns\[1\] never answered$/);
  });

  test("waits for an event of either side, and says what there was instead", async () => {
    await mock.reset();
    const waiting = mock.waitFor("response.create");
    const caller = await Caller.dial(mock);
    await caller.ask("Hello?");
    assert.equal((await waiting).way, "in");
    const [session] = await mock.sessions();
    const done = await mock.waitFor("response.d*", { session: session!.id, way: "out" });
    assert.deepEqual([done.type, done.session], ["response.done", session!.id]);
    const second = mock.waitFor("response.done", { nth: 2 });
    await caller.ask("Hello again?");
    assert.ok((await second).at > done.at);
    await assert.rejects(mock.waitFor("response.cancel", { timeoutMs: 10 }), (problem) => {
      assert.ok(problem instanceof WaitTimeoutError);
      assert.match(problem.message, /^no response\.cancel came within 10 ms; until then came .*response\.create 2x/);
      return true;
    });
    await caller.close();
  });

  test("finds mistakes of the client", async () => {
    await mock.reset();
    const caller = await Caller.dial(mock);
    caller.answerNothing();
    caller.send({ type: "response.create" });
    await caller.next("response.done");
    await caller.close();
    const rules = (await mock.findings()).map(({ rule, level }) => [rule, level]);
    assert.deepEqual(rules, [["tool-result-unknown", "error"]]);
  });

  test("takes another scenario for new connections, and refuses one with mistakes in the server's words", async () => {
    await mock.scenario({ turns: [{ reply: [{ say: "Closed." }] }] });
    const caller = await Caller.dial(mock);
    assert.equal(await caller.ask("When do you open?"), "Closed.");
    await caller.close();
    await assert.rejects(mock.scenario({ turns: [{ reply: [{ sya: "Closed." }] }] } as never), (problem) => {
      assert.ok(problem instanceof ControlError);
      assert.match(problem.message, /^PUT \/_mock\/scenario: [^]*sya/);
      assert.equal(problem.status, 400);
      return true;
    });
  });

  test("goes back to the scenario and the faults of its start", async () => {
    assert.equal((await mock.played()).scenario?.name, undefined);
    await mock.scenario(null);
    assert.equal((await mock.played()).plays, "echo");
    await mock.reset({ to: "start" });
    const { plays, scenario } = await mock.played();
    assert.deepEqual([plays, scenario], ["scenario", booking]);
    await assert.rejects(Caller.dial(mock), /503/);
    const refused = (await mock.refusals()).map(({ method, path, status }) => [method, path.split("?")[0], status]);
    assert.deepEqual(refused, [["GET", "/v1/realtime", 503]]);
    await mock.faults();
  });

  test("gives a client secret that opens a connection once", async () => {
    const secret = await mock.clientSecret({ seconds: 60 });
    const caller = await Caller.dial({ url: mock.url, apiKey: secret.value });
    await caller.close();
  });

  test("has room for fifty isolated mocks at a time, of which none sees another's calls", async () => {
    await mock.reset();
    const said = Array.from({ length: 50 }, (_, index) => `It is number ${index}.`);
    const heard = said.map(async (say, index) => {
      const faults: Fault[] = index % 5 ? [] : [{ at: "handshake", do: { status: 503 }, session: 1 }];
      await using own = await mock.isolate({ scenario: { turns: [{ reply: [{ say }] }] }, faults });
      assert.ok(own.url !== mock.url && own.apiKey !== mock.apiKey && own.env.OPENAI_API_KEY !== mock.env.OPENAI_API_KEY);
      if (faults.length) await assert.rejects(Caller.dial(own), /503/);
      const caller = await Caller.dial(own);
      const answer = await caller.ask("Which?");
      await caller.close();
      assert.equal((await own.received("response.create")).length, 1);
      assert.deepEqual((await own.sessions()).map(({ open }) => open), [false]);
      assert.deepEqual((await own.struck()).map(({ fired }) => fired), faults.length ? [1] : []);
      return answer;
    });
    assert.deepEqual(await Promise.all(heard), said);
    assert.deepEqual(await mock.sessions(), []);
  });

  test("closes the connections of an isolated mock that is stopped, and refuses later ones", async () => {
    const own = await mock.isolate({ dialect: "openai", clock: "manual", seed: "a", faults: [], findings: { "nothing-asked": "error" } });
    const caller = await Caller.dial(own, "gpt-realtime");
    await own.advance(31_000);
    assert.deepEqual((await own.findings()).map(({ rule, level }) => [rule, level]), [["nothing-asked", "error"]]);
    const closed = once(caller.socket, "close");
    assert.equal(await own.stop(), undefined);
    assert.equal(((await closed) as [number])[0], 1001);
    await assert.rejects(Caller.dial(own), /404/);
    await assert.rejects(own.findings(), ControlError);
  });

  test("gives the variables of both services' clients", () => {
    assert.deepEqual(Object.keys(mock.env).sort(), [
      "OPENAI_API_KEY",
      "OPENAI_BASE_URL",
      "OPENAI_WEBSOCKET_BASE_URL",
      "XAI_API_KEY",
      "XAI_HTTP_URL",
      "XAI_REALTIME_URL",
    ]);
    assert.equal(mock.env.XAI_REALTIME_URL, mock.url);
    assert.ok(mock.url.startsWith(mock.origin.replace("http", "ws")));
  });
});

test("a phone rings, and the agent accepts the call", async () => {
  const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  const agent = createServer((request, response) => {
    const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature } = request.headers;
    let body = "";
    request.on("data", (piece) => (body += piece)).on("end", () => {
      const expected = createHmac("sha256", Buffer.alloc(32, 7)).update(`${id}.${at}.${body}`).digest("base64");
      response.writeHead(signature === `v1,${expected}` ? 200 : 400).end();
      void accept(JSON.parse(body).data.call_id);
    });
  });
  await once(agent.listen(0, "127.0.0.1"), "listening");
  const webhook = `http://127.0.0.1:${(agent.address() as AddressInfo).port}/calls/incoming`;
  await using mock = await start({ dialect: "openai", webhook, webhookSecret: secret });
  const accept = (id: string): Promise<Response> =>
    fetch(`${mock.httpUrl}/realtime/calls/${id}/accept`, {
      method: "POST",
      headers: { authorization: `Bearer ${mock.apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ type: "realtime" }),
    });
  const { id } = await mock.ring({ from: "+14155550123", script: [{ press: "1" }, { hang_up: true }], greeting: "0s" });
  const call = await mock.callOver(id);
  assert.deepEqual([call.state, call.from, call.phone?.hung_up_by, call.phone?.digits], ["over", "+14155550123", "caller", "1"]);
  assert.deepEqual(call.phone?.webhooks.map((each) => each.status), [200]);
  assert.equal((await mock.sent("input_audio_buffer.dtmf_event_received")).length, 1);
  agent.close();
});

test("a manual clock stands still until it is moved", async () => {
  const mock = await start({ clock: "manual" });
  const { now } = await mock.advance(0);
  assert.equal((await mock.advance(60_000)).now, now + 60);
  assert.equal((await mock.stop())?.code, 0);
});

test("a mistake ends the server with 1 if its severity was given", async () => {
  const mock = await start({ findings: { "tool-result-unknown": "error" } });
  const caller = await Caller.dial(mock);
  caller.answerNothing();
  await mock.waitFor("conversation.item.added");
  await caller.close();
  const exit = await mock.stop();
  assert.equal(exit?.code, 1);
  assert.match(exit.log, /1 finding of severity error/);
});

test("a clock that runs by itself cannot be moved, and the error says what to do", async () => {
  await using mock = await start();
  await assert.rejects(mock.advance(1), /start the server with --clock manual/);
});

test("a scenario with mistakes does not start, and the error shows what the server wrote", async () => {
  const wrong = { turns: [{ reply: "Hello" }] } as never;
  await assert.rejects(start({ scenario: wrong }), (problem) => {
    assert.ok(problem instanceof ServerExitError);
    assert.equal(problem.code, 2);
    assert.match(problem.message, /^realtape serve ended with exit code 2[^]*scenario\.json[^]*reply/);
    return true;
  });
});

test("a server that dies is named in the next call, with what it wrote", async () => {
  const mock = await start({ args: ["--dialect", "xai"] });
  const { pid } = mock;
  process.kill(pid!, "SIGKILL");
  await assert.rejects(mock.findings(), (problem) => {
    assert.ok(problem instanceof ServerExitError);
    assert.match(problem.message, /^realtape serve was ended by SIGKILL/);
    return true;
  });
  assert.equal((await mock.stop())?.signal, "SIGKILL");
});

test("a program that cannot be run is an error that says why, and keeps keys to itself", async () => {
  const folder = mkdtempSync(join(tmpdir(), "realtape-test-"));
  const command = join(folder, "realtape");
  writeFileSync(command, "#!/no/such/interpreter\n", { mode: 0o755 });
  await assert.rejects(start({ command, apiKeys: ["sk-secret"] }), (problem) => {
    assert.ok(problem instanceof ServerExitError);
    assert.match(problem.message, /ENOENT/);
    assert.doesNotMatch(problem.message, /sk-secret/);
    return true;
  });
  rmSync(folder, { recursive: true });
});

test("a token of the environment is the control plane's, and the mock sends it", async () => {
  await using mock = await start({ processEnv: { ...process.env, REALTAPE_ADMIN_TOKEN: "t-1" }, apiKeys: ["sk-one"] });
  const same = await connect(mock.origin, { adminToken: "t-1", apiKey: "sk-one" });
  assert.deepEqual([same.url, same.env, await same.stop()], [mock.url, mock.env, undefined]);
  await assert.rejects(connect(mock.origin), /GET \/_mock\/health: send the admin token/);
  assert.equal((await fetch(`${mock.controlUrl}/findings`)).status, 403);
  assert.deepEqual(await mock.findings(), []);
  assert.equal(mock.apiKey, "sk-one");
  await assert.rejects(Caller.dial({ url: mock.url, apiKey: "sk-other" }), /40[01]/);
});

const PROGRAM = `
  import { start } from "realtape";
  const mock = await start();
  console.log(mock.pid);
`;

test("a program that forgets to stop the mock ends all the same, and the server with it", async () => {
  const pid = Number(execFileSync(process.execPath, ["--input-type=module", "-e", PROGRAM], { cwd: import.meta.dirname, timeout: 30_000 }));
  await gone(pid);
});

test("a program that is killed leaves no server behind", async () => {
  const program = spawn(process.execPath, ["--input-type=module", "-e", `${PROGRAM}; setInterval(() => {}, 1000);`], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(program.stdout.setEncoding("utf8"), "data")) as [string];
  program.kill("SIGKILL");
  await gone(Number(line));
});

/** Resolves once there is no such process; otherwise the test's own limit ends it. */
async function gone(pid: number): Promise<void> {
  assert.ok(pid > 0);
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
