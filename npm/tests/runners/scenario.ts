import type { Scenario } from "realtape";

export const booking: Scenario = {
  turns: [{ when: { says: "open" }, reply: [{ say: "At nine." }] }, { reply: [{ say: "Pardon?" }] }],
};
