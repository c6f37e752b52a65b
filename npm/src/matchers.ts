// Matchers for `expect` of vitest, jest and Playwright. All of them are asynchronous: await them.

import { conversation, lineOf, timeline } from "./conversation.js";
import { RealtapeError, indented } from "./errors.js";
import { Mock } from "./mock.js";
import type { JournalEntry } from "./types.js";

export interface MatcherResult {
  pass: boolean;
  message: () => string;
}

/** The matchers, as `expect` offers them for a mock. */
export interface RealtapeMatchers<R = Promise<void>> {
  /** No client made a mistake: none at all, or with `{ level: "error" }` none that is an error. */
  toHaveNoFindings(options?: { level?: "warn" | "error" }): R;
  /**
   * The mock received client events of these types in this order; others may be between them. `server TYPE` is an event
   * that the server sent. All sessions count, in order of time.
   */
  toHaveReceivedInOrder(...types: string[]): R;
  /** By the prices of the service, all sessions cost at most this, in US dollars. */
  toCostAtMost(usd: number | string): R;
}

export const matchers = {
  async toHaveNoFindings(received: unknown, options: { level?: "warn" | "error" } = {}): Promise<MatcherResult> {
    const mock = mockOf(received, "toHaveNoFindings");
    const found = await mock.findings(options.level === "error" ? { level: "error" } : {});
    const said = found.length ? await conversation(mock) : "";
    const text = found.map(lineOf).join("\n");
    const wrong = `Expected no ${options.level === "error" ? "errors among the findings" : "findings"}; there are ${found.length}:\n`;
    return {
      pass: found.length === 0,
      message: () => (found.length ? `${wrong}${indented(text)}\n${said}` : "Expected findings; there are none."),
    };
  },

  async toHaveReceivedInOrder(received: unknown, ...types: string[]): Promise<MatcherResult> {
    const mock = mockOf(received, "toHaveReceivedInOrder");
    const { entries } = await timeline(mock);
    let at = 0;
    let before = "";
    for (const type of types) {
      const found = entries.findIndex((entry, index) => index >= at && is(entry, type));
      if (found < 0) {
        const earlier = entries.slice(0, at).filter((entry) => is(entry, type)).at(-1);
        const when = earlier ? `only before, at ${earlier.at.toFixed(3)} s` : "not at all";
        const said = await conversation(mock, earlier ?? entries[at - 1]);
        return { pass: false, message: () => `Expected ${type}${before}; it came ${when}.\n${said}` };
      }
      at = found + 1;
      before = ` after ${type}`;
    }
    return { pass: true, message: () => `Expected another order than ${types.join(", ")}; the events came in this one.` };
  },

  async toCostAtMost(received: unknown, usd: number | string): Promise<MatcherResult> {
    const mock = mockOf(received, "toCostAtMost");
    const most = Number(usd);
    if (!Number.isFinite(most)) throw new RealtapeError(`toCostAtMost: ${usd} is no amount of US dollars`);
    const ledger = await mock.ledger();
    const heard = `${ledger.audio_in_s} s of audio in, ${ledger.audio_out_s} s out, ${ledger.text_items} text items`;
    const pass = Number(ledger.usd) <= most;
    return { pass, message: () => `Expected a cost of ${pass ? "more than" : "at most"} ${usd} USD; it is ${ledger.usd} USD: ${heard}.` };
  },
};

/** Whether an entry is of a type: a client's, or with the prefix `server ` the server's. */
function is(entry: JournalEntry, type: string): boolean {
  const [, side, name] = /^(?:(client|server) )?(.*)$/.exec(type)!;
  return entry.way === (side === "server" ? "out" : "in") && entry.type === name;
}

function mockOf(received: unknown, matcher: string): Mock {
  if (received instanceof Mock) return received;
  throw new RealtapeError(`${matcher} is for a mock of realtape: write expect(mock).${matcher}(…)`);
}
