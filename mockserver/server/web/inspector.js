// The inspector: the server, its sessions, and the one that is picked in the viewer, followed while it goes on.
import { clock, download, el, plural } from "./dom.js";
import { FaultsPane } from "./faults.js";
import { Viewer } from "./viewer.js";

const EVERY_MS = 1000;
const MOST_LISTED = 200; // sessions in the list; the search finds the others
const root = location.pathname.replace(/\/?$/, "");

class Inspector {
  constructor() {
    this.picked = null;
    this.viewer = null;
    this.told = "";
    const { session, namespace } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    this.wanted = session ?? null;
    this.namespace = namespace ?? "";
    this.server = el("span");
    this.totals = el("span");
    this.bench = el("a", { href: `${root}/workbench`, title: "Describe a call and talk to it; the session shown here can go on there" }, "Workbench");
    this.problem = el("span", { class: "problem", role: "status" });
    this.token = el("input", { type: "password", id: "token", placeholder: "admin token", "aria-label": "Admin token", autocomplete: "off", hidden: true });
    this.spaces = el("select", { "aria-label": "Namespace", hidden: true, onchange: () => this.enter(this.spaces.value) });
    this.search = el("input", { type: "search", placeholder: "Find a session", "aria-label": "Find a session", oninput: () => this.list() });
    this.buttons = el("div", { class: "sessions" });
    this.place = el("div", { class: "place" }, el("main", null, el("p", { class: "none" }, "No session yet. Point a client at this port.")));
    this.faults = new FaultsPane((path, options) => this.ask(path, options), () => this.picked);
    this.sessions = [];
    document.body.classList.add("inspector");
    document.body.append(
      el("header", { class: "top" }, el("h1", null, "realtape"), this.bench, this.server, this.totals, this.spaces, this.problem, this.token),
      el("nav", { "aria-label": "Sessions" }, this.search, this.buttons),
      this.place,
    );
    addEventListener("hashchange", () => this.follow());
    this.look();
  }

  // --- Asking the server ---

  get base() {
    return root + (this.namespace ? `/namespaces/${encodeURIComponent(this.namespace)}` : "");
  }

  async fetched(path, options = {}, base = this.base) {
    const token = this.token.value;
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(base + path, { ...options, headers }).catch(() => {
      throw new Error("The mock does not answer.");
    });
    if (answer.status === 403) this.token.hidden = false;
    if (!answer.ok) {
      const told = await answer.json().catch(() => ({}));
      throw Object.assign(new Error(told.error ?? answer.statusText), { status: answer.status });
    }
    return answer;
  }

  async ask(path, options, base) {
    return (await this.fetched(path, options, base)).json();
  }

  /** Looks at the server again and again. */
  async look() {
    try {
      await this.once();
      this.token.hidden = true;
    } catch (problem) {
      this.problem.textContent = problem.message;
    }
    setTimeout(() => this.look(), EVERY_MS);
  }

  async once() {
    const [health, sessions, total, limits, faults, spaces] = await Promise.all([
      this.ask("/health"), this.ask("/sessions"), this.ask("/ledger"), this.ask("/limits"), this.ask("/faults"), this.ask("/namespaces", {}, root),
    ]);
    this.problem.textContent = health.errors ? `${plural(health.errors, "error")} inside the mock, see its log` : "";
    this.server.replaceChildren(health.dialect, " · ", ...open(health, limits));
    this.totals.replaceChildren(el("b", null, `${sessions.length}`), ` session${sessions.length === 1 ? "" : "s"} · `, el("b", null, `$${total.usd}`));
    this.namespaces(spaces);
    this.faults.take(faults);
    this.sessions = sessions;
    this.list();
    if (this.picked == null && sessions.length) this.pick((sessions.find((each) => each.id === this.wanted) ?? sessions.at(-1)).id);
    const known = sessions.find((each) => each.id === this.picked);
    if (known) await this.read(known);
    else if (this.picked != null) this.clear();
  }

  // --- Which session ---

  list() {
    const text = this.search.value.trim().toLowerCase();
    const found = this.sessions.filter((each) => !text || `${each.id} ${each.came} ${each.call_id ?? ""} ${each.dialect} ${each.conversation_id}`.toLowerCase().includes(text));
    const shown = found.slice(-MOST_LISTED).reverse();
    const told = JSON.stringify([shown, this.picked, found.length]);
    if (told === this.told) return;
    this.told = told;
    const kept = this.buttons.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.buttons.replaceChildren(...shown.map((session) => this.button(session)));
    if (found.length > shown.length) this.buttons.append(el("p", { class: "small" }, `${found.length - shown.length} older sessions: search for them.`));
    if (kept) [...this.buttons.children].find((each) => each.dataset.id === kept)?.focus();
  }

  button(session) {
    const beside = session.sidebands.length ? ` with ${plural(session.sidebands.length, "sideband")}` : "";
    const came = session.came === "websocket" ? "" : ` · ${session.came}${beside}`;
    const end = session.open ? "" : ` · ${clock(session.closed_s, 1)} · ${session.close_code}`;
    const when = new Date(session.opened * 1000).toLocaleTimeString();
    return el(
      "button",
      { type: "button", "data-id": session.id, "aria-current": session.id === this.picked ? "true" : null, onclick: () => this.pick(session.id) },
      el("strong", null, el("i", { class: session.open ? "live" : "" }), short(session.id), session.open ? el("span", { class: "unseen" }, " open") : ""),
      el("small", null, `${session.dialect}${came} · ${when} · ${plural(session.frames, "frame")}${end}`),
      session.findings ? el("small", { class: "bad" }, ` · ${plural(session.findings, "finding")}`) : "",
    );
  }

  pick(id) {
    if (id === this.picked) return;
    const parts = new URLSearchParams(location.hash.slice(1));
    if (parts.get("session") !== id) {
      for (const name of ["turn", "frame"]) parts.delete(name);
      parts.set("session", id);
      history.replaceState(null, "", `#${parts}`);
    }
    this.bench.href = `${root}/workbench#${new URLSearchParams({ session: id, ...(this.namespace ? { namespace: this.namespace } : {}) })}`;
    this.drop();
    this.picked = id;
    this.list();
  }

  /** What the address names, if somebody changed it. */
  follow() {
    const parts = new URLSearchParams(location.hash.slice(1));
    if (this.sessions.some((each) => each.id === parts.get("session"))) this.pick(parts.get("session"));
  }

  namespaces(spaces) {
    const ids = ["", ...spaces.map((each) => each.id)];
    this.spaces.hidden = ids.length === 1 && !this.namespace;
    const told = JSON.stringify(ids);
    if (this.spaces.dataset.told === told) return;
    this.spaces.dataset.told = told;
    this.spaces.replaceChildren(...ids.map((id) => el("option", { value: id }, id || "root namespace")));
    this.spaces.value = this.namespace;
  }

  enter(id) {
    this.namespace = id;
    history.replaceState(null, "", id ? `#namespace=${encodeURIComponent(id)}` : root);
    this.clear();
  }

  drop() {
    this.viewer?.close();
    this.viewer = null;
    this.known = "";
  }

  clear() {
    this.drop();
    this.picked = null;
    this.place.replaceChildren(el("main", null, el("p", { class: "none" }, "No session.")));
  }

  // --- The session in the viewer ---

  async read(session) {
    const id = session.id;
    const known = JSON.stringify([session.frames, session.dropped, session.findings, session.open]);
    if (this.viewer && known === this.known && !session.open) return;
    const path = `/sessions/${encodeURIComponent(id)}`;
    const { frames, document: last } = this.viewer?.call ?? { frames: [], document: { skipped: 0 } };
    const document = await this.ask(`${path}/call?since=${frames.length}&skipped=${last.skipped}`);
    if (id !== this.picked) return;
    this.known = known;
    if (this.viewer) return this.viewer.take(document);
    const save = (part, name) => async () => download(name, await (await this.fetched(`${path}/${part}`)).blob());
    this.viewer = new Viewer({
      document,
      level: 2,
      sound: async () => {
        const { pieces, problem } = await this.ask(`${path}/sound`);
        if (problem) throw new Error(problem);
        return pieces;
      },
      downloads: [
        { label: "Tape", title: "This session as a cassette", make: save("tape", `${id}.tape`) },
        { label: "Scenario", title: "This session as a scenario for `realtape serve --scenario`", make: save("scenario", `${id}.yaml`) },
        { label: "WAV", title: "The call as a WAV: left the caller, right the service", make: () => this.viewer.saveWav(`${id}.wav`) },
      ],
      panes: [["Faults", this.faults.node]],
    });
    this.place.replaceChildren(this.viewer.node);
    this.viewer.follow();
  }
}

/** The sessions that are open, and how many a team may have. */
function open(health, limits) {
  const teams = limits.filter((each) => each.most != null);
  const told = [el("b", null, `${health.open_sessions}`), " open"];
  if (teams.length === 1) told.push(` of ${teams[0].most}`);
  else if (teams.length) told.push(` (${teams.map((each) => `${each.team || "a team"}: ${each.sessions} of ${each.most}`).join(", ")})`);
  return told;
}

const short = (id) => (id.length > 24 ? `${id.slice(0, 21)}…` : id);

new Inspector();
