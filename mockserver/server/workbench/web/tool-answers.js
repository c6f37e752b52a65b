// The results of the tools that the mock calls: from the description, or from an HTTP address that the server asks.

import { post } from "./api.js";

// Resolves to the result's text in any case: a failure is a result with an `error`.
export async function answerTool(tools, { name, arguments: args, call_id }) {
  const tool = tools.find((each) => each.kind === "function" && each.name === name);
  if (!tool) return failed(`the workbench has no tool ${name}; add it under Tools`);
  if (tool.answer === "script") return tool.result;
  try {
    return (await post("/tool", { url: tool.url, name, arguments: args, call_id })).output;
  } catch (problem) {
    return failed(problem.message);
  }
}

const failed = (error) => JSON.stringify({ error });
