import type { Scenario } from "realtape";

/** What the service says in both tests. */
export const booking: Scenario = {
  turns: [
    { when: { says: "cleaning" }, reply: [{ call: { name: "check_availability", arguments: { service: "cleaning" } } }] },
    { when: { tool: "check_availability" }, reply: [{ say: "I have {{ result.slots | join(' and ') }}." }] },
    { reply: [{ say: "Could you repeat that?" }] },
  ],
};
