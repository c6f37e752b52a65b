import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { NotFoundError, start } from "realtape";
import { findLauncher } from "../dist/launch.js";
import { absolute, FLAGS, serveArguments } from "../dist/options.js";
import { Caller } from "./caller.js";

const dist = join(import.meta.dirname, "..", "dist");
const folder = mkdtempSync(join(tmpdir(), "realtape-test-"));
after(() => rmSync(folder, { recursive: true }));

/** A folder for the PATH, with programs of these names. */
function programs(...names: string[]): string {
  const path = mkdtempSync(join(folder, "bin-"));
  for (const name of names) written(join(path, name), "#!/bin/sh\n");
  return path;
}

function written(path: string, text: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}

const commandOf = (PATH: string, more: NodeJS.ProcessEnv = {}): readonly string[] => findLauncher({ processEnv: { PATH, ...more } }).command;

test("realtape on the PATH comes first, then uvx, then pipx, then an image", () => {
  const all = programs("realtape", "uvx", "pipx", "docker", "podman");
  const none = programs();
  assert.deepEqual(commandOf([none, all].join(delimiter)), [join(all, "realtape")]);
  const [uvx, pipx, podman] = [programs("uvx", "pipx", "docker"), programs("pipx", "podman"), programs("podman")];
  const given = { REALTAPE_FROM: "/checkout", REALTAPE_IMAGE: "clinic" };
  assert.deepEqual(commandOf(uvx, given), [join(uvx, "uvx"), "--from", "/checkout", "realtape"]);
  assert.deepEqual(commandOf(pipx, given), [join(pipx, "pipx"), "run", "--spec", "/checkout", "realtape"]);
  const { name, ...container } = findLauncher({ processEnv: { PATH: podman, ...given } }).container!;
  assert.deepEqual(container, { program: join(podman, "podman"), image: "clinic" });
  assert.match(name, /^realtape-[0-9a-f-]{36}$/);
});

test("a program that is named wins, and has to be there", () => {
  const [all, own] = [programs("realtape"), programs("other")];
  assert.deepEqual(commandOf(all, { REALTAPE_COMMAND: join(own, "other") }), [join(own, "other")]);
  const python = ["other", "-m", "realtape"];
  assert.deepEqual(findLauncher({ command: python, processEnv: { PATH: own } }).command, [join(own, "other"), "-m", "realtape"]);
  assert.throws(() => findLauncher({ command: "missing", processEnv: { PATH: all } }), /missing: no such program/);
});

test("without any way, the error lists what was tried and what to do", async () => {
  const PATH = programs("uvx", "docker");
  await assert.rejects(start({ processEnv: { PATH } }), (problem) => {
    assert.ok(problem instanceof NotFoundError);
    assert.deepEqual(
      problem.tried.map((each) => each.split(/[:,]/)[0]),
      ["realtape", "uvx", "pipx", "docker", "podman"],
    );
    assert.match(problem.message, /uvx: is there, but nothing says what to install: give the option `from`/);
    assert.match(problem.message, /pipx: not on the PATH/);
    assert.match(problem.message, /pip install/);
    return true;
  });
});

test("nothing is downloaded unless its source is named", () => {
  assert.throws(() => findLauncher({ processEnv: { PATH: programs("uvx", "pipx", "docker", "podman") } }), NotFoundError);
});

/** The environment in which an image is the only way, and `docker` runs this script: it stands for docker. */
function withDocker(script: string): NodeJS.ProcessEnv {
  const docker = programs();
  written(join(docker, "docker"), `#!/bin/sh\n${script}`);
  const { PATH: _, REALTAPE_ADMIN_TOKEN: __, ...rest } = process.env;
  return { ...rest, PATH: [docker, "/usr/bin", "/bin"].join(delimiter), REALTAPE_IMAGE: "clinic" };
}

test("a container serves at a port of this machine, behind a token, and sees the folders that it needs", async () => {
  // Keeps what it is given, and runs the command on this machine.
  const server = findLauncher().command[0];
  const processEnv = withDocker(`while [ "$1" != clinic ]; do echo "$1" >> "${folder}/given"; shift; done
shift
exec "${server}" "$@"
`);
  const options = { processEnv, cwd: folder, scenario: { turns: [{ reply: [{ say: "At nine." }] }] } };
  await using mock = await start(options);
  assert.equal((await fetch(`${mock.controlUrl}/findings`)).status, 403);
  const caller = await Caller.dial(mock);
  assert.equal(await caller.ask("When do you open?"), "At nine.");
  await caller.close();
  assert.equal((await mock.received("response.create")).length, 1);
  const given = execFileSync("cat", [join(folder, "given")], { encoding: "utf8" });
  assert.match(given, /--rm\n--interactive\n/);
  assert.ok(given.includes(`127.0.0.1:${new URL(mock.origin).port}:`) && given.includes(`${folder}:${folder}\n`));
});

test("the workers of a run may use the control plane of the server in a container that the setup started", async () => {
  const env = withDocker(`while [ "$1" != clinic ]; do shift; done; shift; exec "${findLauncher().command[0]}" "$@"\n`);
  const run = written(
    join(folder, "run.mjs"),
    `import { spawnSync } from "node:child_process";
import setup from "${pathToFileURL(join(dist, "setup.js"))}";
const end = await setup();
const worker = 'import { sharedServer } from "${pathToFileURL(join(dist, "fixture.js"))}"; console.log(await (await sharedServer()).sessions());';
const done = spawnSync(process.execPath, ["--input-type=module", "--eval", worker], { encoding: "utf8" });
await end();
console.log(done.status, done.stdout, done.stderr);
`,
  );
  assert.equal(execFileSync(process.execPath, [run], { env, cwd: folder, encoding: "utf8" }), "0 []\n \n");
});

test("a container whose client had to be killed is killed by its name", async () => {
  // Neither the end of standard input nor SIGTERM ends it.
  const processEnv = withDocker(`echo "$@" >> "${folder}/calls"
[ "$1" = run ] || exit 0
trap "" TERM
echo '{"origin": ""}'
while :; do sleep 1 <&- >&- 2>&-; done
`);
  const mock = await start({ processEnv, cwd: folder });
  assert.equal((await mock.stop())?.signal, "SIGKILL");
  const [started, killed] = readFileSync(join(folder, "calls"), "utf8").trim().split("\n");
  const name = /--name (\S+)/.exec(started!)?.[1];
  assert.ok(name);
  assert.equal(killed, `kill ${name}`);
});

test("every option is one of the server's", () => {
  const [program, ...first] = findLauncher().command;
  const help = execFileSync(program, [...first, "serve", "--help"], { encoding: "utf8" });
  assert.deepEqual(
    ["--finding", "--findings", "--with-parent", ...Object.values(FLAGS)].filter((flag) => !new RegExp(`${flag}\\b`).test(help)),
    [],
  );
});

test("options become arguments", () => {
  const args = serveArguments({ dialect: "openai", verbatim: true, speed: Infinity, apiKeys: ["a", "b"], findings: { "left-open": "error" } }, folder, () => folder);
  const text = args.join(" ");
  for (const part of ["--dialect openai", "--verbatim", "--speed inf", "--api-key a --api-key b", "--finding left-open=error", "--voice tone"])
    assert.ok(text.includes(part), `${part} in ${text}`);
});

test("audio files of a scenario are looked for in the folder of the test", () => {
  const scenario = absolute({ hears: [{ audio: "hello.wav", text: "hello" }], sequence: [[{ say: "Hi", audio: "hi.wav" }], { reply: [{ call: { name: "audio", arguments: { audio: "hi.wav" } } }] }] }, "/clips");
  assert.deepEqual(scenario, {
    hears: [{ audio: "/clips/hello.wav", text: "hello" }],
    sequence: [[{ say: "Hi", audio: "/clips/hi.wav" }], { reply: [{ call: { name: "audio", arguments: { audio: "hi.wav" } } }] }],
  });
});
