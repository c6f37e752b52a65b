/** An error of this package. Its message says what to do. */
export class RealtapeError extends Error {
  override name = "RealtapeError";
}

/** Nothing on this machine can run the server. `tried` has one line for each way. */
export class NotFoundError extends RealtapeError {
  override name = "NotFoundError";

  constructor(readonly tried: readonly string[]) {
    super(
      `The realtape server was not found. Tried:\n${tried.map((each) => `  - ${each}`).join("\n")}\n` +
        "Install it in a Python environment (pip install PATH_OF_THE_CHECKOUT) and put its folder of programs on the PATH, " +
        "or name the program with the option `command` or the variable REALTAPE_COMMAND.",
    );
  }
}

/** The program ended, or never became ready. `stderr` is the end of what it wrote there, at most 64 KiB. */
export class ServerExitError extends RealtapeError {
  override name = "ServerExitError";

  constructor(
    what: string,
    readonly code: number | null,
    readonly signal: string | null,
    readonly stderr: string,
  ) {
    super(stderr.trim() ? `${what}. On stderr it wrote:\n${indented(stderr)}` : `${what}, and wrote nothing on stderr.`);
  }
}

/** The control plane refused a request. The message is the server's. */
export class ControlError extends RealtapeError {
  override name = "ControlError";

  constructor(
    /** The server's own words. */
    readonly reason: string,
    readonly status: number,
    readonly route: string,
  ) {
    super(`${route}: ${reason}`);
  }
}

/** An event did not come in time. */
export class WaitTimeoutError extends RealtapeError {
  override name = "WaitTimeoutError";
}

export const indented = (text: string): string => text.trimEnd().replace(/^/gm, "  ");
