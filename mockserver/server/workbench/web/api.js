// Requests to this server. If it wants its admin token, the page asks for it once.

const ROOT = "/_mock/workbench";
let token = "";
let asking = null; // asks the user for the token
let pending = null; // what `asking` resolves to, while the user is asked

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// `ask()` resolves to the admin token, or to "" if the user gives none.
export function tokenFrom(ask) {
  asking = ask;
}

async function request(url, options) {
  const used = token;
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    answer = await fetch(url, { ...options, headers });
  } catch {
    throw new Refused(0, "The server does not answer. Is `realtape serve` still running?");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const message = typeof said.error === "string" ? said.error : `The server answered ${answer.status}.`;
  if (answer.status === 403 && message.includes("admin token") && asking) {
    if (token === used) {
      pending ??= asking().finally(() => { pending = null; });
      token = await pending;
    }
    if (token) return request(url, options);
  }
  throw new Refused(answer.status, message);
}

export const get = async (path) => (await request(ROOT + path, {})).json();

export const post = async (path, body) => {
  const text = typeof body === "string" || body instanceof Blob ? body : JSON.stringify(body);
  return (await request(ROOT + path, { method: "POST", body: text })).json();
};

// A part of the control plane, by its whole address.
export const control = async (url, options = {}) => (await request(url, options)).json();
export const controlBytes = async (url) => (await request(url, {})).blob();

// The answer to a post as a Blob.
export const bytes = async (path, body) => (await request(ROOT + path, { method: "POST", body })).blob();
