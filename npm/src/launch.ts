// Where the server comes from: a program on this machine, or a container image.

import { randomUUID } from "node:crypto";
import { accessSync, constants, statSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import process from "node:process";
import { NotFoundError, RealtapeError } from "./errors.js";

/** How to find and run the server. Without any of these, `realtape` on the PATH is used. */
export interface LaunchOptions {
  /** The program, with its first arguments. Default: the variable `REALTAPE_COMMAND`, else `realtape` on the PATH. */
  command?: string | readonly string[];
  /**
   * What `uvx` or `pipx` installs if there is no `realtape` on the PATH: a checkout's folder, a URL, a requirement.
   * Default: the variable `REALTAPE_FROM`. Nothing is downloaded without it.
   */
  from?: string;
  /**
   * The image that `docker` or `podman` runs if there is nothing else; its entry point is `realtape`.
   * Default: the variable `REALTAPE_IMAGE`. The container sees `cwd` under the same path, and no other folder.
   */
  image?: string;
  /** The server's folder; paths of scenarios and cassettes are relative to it. Default: that of this process. */
  cwd?: string;
  /** Variables of the server's process. Default: those of this process. */
  processEnv?: NodeJS.ProcessEnv;
}

export interface Launcher {
  command: readonly [string, ...string[]];
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Set if the server runs in a container, whose name is that of `--name`. */
  container?: { program: string; image: string; name: string };
}

/** The first way of running the server that this machine has. Throws NotFoundError. */
export function findLauncher(options: LaunchOptions = {}): Launcher {
  const cwd = options.cwd ?? process.cwd();
  const env = options.processEnv ?? process.env;
  const [given, from, image] = [options.command ?? env.REALTAPE_COMMAND, options.from ?? env.REALTAPE_FROM, options.image ?? env.REALTAPE_IMAGE];
  if (given) {
    const [program, ...rest] = typeof given === "string" ? [given] : given;
    if (!program) throw new RealtapeError("The option `command` is empty: give the program, or leave the option out.");
    const found = onPath(program, env);
    if (!found) throw new NotFoundError([`${program}: no such program (option \`command\` or variable REALTAPE_COMMAND)`]);
    return { command: [found, ...rest], cwd, env };
  }
  const tried: string[] = [];
  const look = (program: string, needed?: [value: string | undefined, what: string]): string | undefined => {
    const found = onPath(program, env);
    if (!found) tried.push(`${program}: not on the PATH`);
    else if (needed && !needed[0]) tried.push(`${program}: is there, but ${needed[1]}`);
    else return found;
    return undefined;
  };
  const source: [string | undefined, string] = [from, "nothing says what to install: give the option `from` or the variable REALTAPE_FROM"];
  const container: [string | undefined, string] = [image, "nothing says which image: give the option `image` or the variable REALTAPE_IMAGE"];
  let found: string | undefined;
  if ((found = look("realtape"))) return { command: [found], cwd, env };
  if ((found = look("uvx", source))) return { command: [found, "--from", from!, "realtape"], cwd, env };
  if ((found = look("pipx", source))) return { command: [found, "run", "--spec", from!, "realtape"], cwd, env };
  for (const program of ["docker", "podman"])
    if ((found = look(program, container))) return { command: [found], cwd, env, container: { program: found, image: image!, name: `realtape-${randomUUID()}` } };
  throw new NotFoundError(tried);
}

/** The arguments of a container that runs `realtape serve` and serves at 127.0.0.1:`port` of this machine. */
export function containerArguments(launcher: Launcher, port: number, folders: readonly string[]): string[] {
  const user = process.getuid && process.getgid ? ["--user", `${process.getuid()}:${process.getgid()}`] : [];
  const mounts = [launcher.cwd, ...folders].flatMap((folder) => ["--volume", `${folder}:${folder}`]);
  const name = ["--name", launcher.container!.name];
  const secrets = ["REALTAPE_ADMIN_TOKEN", "REALTAPE_WEBHOOK_SECRET"].flatMap((name) => ["--env", name]);
  const publish = ["--publish", `127.0.0.1:${port}:${port}`];
  return ["run", "--rm", "--interactive", ...name, ...user, ...publish, ...mounts, "--workdir", launcher.cwd, ...secrets, launcher.container!.image];
}

/** A port of 127.0.0.1 that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, failed) => server.once("error", failed).listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/** The path of a program: itself if it has a separator, else looked for on the PATH. */
function onPath(program: string, env: NodeJS.ProcessEnv): string | undefined {
  const suffixes = process.platform === "win32" ? ["", ".exe"] : [""]; // a .cmd would need a shell
  const hasFolder = /[\\/]/.test(program);
  const folders = hasFolder ? [""] : (env.PATH ?? env.Path ?? "").split(delimiter).filter(Boolean);
  for (const folder of folders)
    for (const suffix of suffixes) {
      const path = (hasFolder ? program : join(folder, program)) + suffix;
      if (isProgram(path)) return path;
    }
  return undefined;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
