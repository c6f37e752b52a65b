// What every driver in JavaScript shares: steps in their order, the events of one connection, sound in pieces.

const LIMIT_MS = 15_000;

/** What the tool of every client gives. */
export const SLOTS = { slots: ["10:00", "14:30"] };

/** Fails the step when `truth` is not. */
export function check(truth, found) {
  if (!truth) throw new Error(`found ${JSON.stringify(found)}`);
}

/** Events of one connection, in order, to be waited for. */
export class Inbox {
  #unread = [];
  #over = "";
  #wake = () => {};

  put(event) {
    this.#unread.push(event);
    this.#wake();
  }

  /** Nothing more will come. */
  end(reason) {
    this.#over = reason;
    this.#wake();
  }

  /** Events up to the first of that type. Throws when it does not come. */
  async until(type) {
    const events = [];
    const limit = setTimeout(() => this.end(`nothing within ${LIMIT_MS} ms`), LIMIT_MS);
    try {
      while (events.at(-1)?.type !== type) {
        while (!this.#unread.length) {
          if (this.#over) throw new Error(`waiting for ${type}: ${this.#over}, after ${events.map((event) => event.type)}`);
          await new Promise((resolve) => { this.#wake = resolve; });
        }
        events.push(this.#unread.shift());
      }
      return events;
    } finally {
      clearTimeout(limit);
    }
  }
}

/** 100 ms of PCM16 at 24 kHz at a time. */
export function* chunks(speech) {
  for (let at = 0; at < speech.length; at += 4800) yield speech.subarray(at, at + 4800);
}

/** What a driver tells in the end: `problems` are errors and warnings, `usage` is of each response. */
export const newReport = () => ({ steps: {}, usage: [], problems: [] });

/** Runs the steps until one fails, and notes in `report.steps` how each went. */
export async function walk(steps, report) {
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step();
      report.steps[name] = "ok";
    } catch (error) {
      report.steps[name] = String(error);
      break;
    }
  }
  return report;
}

/** All that comes, in one piece. Reading standard input at once fails where it is a pipe that has nothing yet. */
export async function speechFrom(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Node only: the report on stdout. Where a client broke, what it left open would keep the process from ending. */
export function tell(report) {
  console.log(JSON.stringify(report));
  if (Object.values(report.steps).some((outcome) => outcome !== "ok")) process.exit();
}
