// What happened on a mock, as lines to read.

import type { Mock } from "./mock.js";
import type { Finding, JournalEntry, Session } from "./types.js";

/** Lines of a conversation that a message shows. */
const MOST_LINES = 60;
const MOST_DETAIL = 60;

/** All frames of all sessions, in order of time. */
export async function timeline(mock: Mock): Promise<{ entries: JournalEntry[]; sessions: Session[] }> {
  const [sessions, journal] = await Promise.all([mock.sessions(), mock.journal()]);
  const opened = new Map(sessions.map((session) => [session.id, session.opened]));
  const when = (entry: JournalEntry): number => (opened.get(entry.session) ?? 0) + entry.at;
  return { entries: journal.sort((one, other) => when(one) - when(other)), sessions };
}

/** The sessions of a mock, each with its frames: time in s, side, type, words. `mark` gets an arrow. */
export async function conversation(mock: Mock, mark?: JournalEntry): Promise<string> {
  const { entries, sessions } = await timeline(mock);
  if (!sessions.length) return "no client connected";
  return sessions.map((session, index) => described(session, index, entries, mark)).join("\n");
}

function described(session: Session, index: number, entries: readonly JournalEntry[], mark: JournalEntry | undefined): string {
  const end = session.open ? "still open" : `closed with ${session.close_code ?? "no code"} after ${session.closed_s?.toFixed(3)} s`;
  const own = merged(entries.filter((entry) => entry.session === session.id));
  const rows = own.map(({ entry, times }) => {
    const side = entry.way === "in" ? "client" : "server";
    const arrow = mark && entry.session === mark.session && entry.at === mark.at && entry.type === mark.type ? "→" : " ";
    const type = `${entry.type ?? "(text)"}${times > 1 ? ` ×${times}` : ""}`;
    return `${arrow} ${entry.at.toFixed(3).padStart(8)} s  ${side}  ${type.padEnd(50)}  ${wordsOf(entry)}`.trimEnd();
  });
  const cut = rows.length - MOST_LINES;
  const shown = cut > 0 ? [`  … ${cut} earlier lines`, ...rows.slice(-MOST_LINES)] : rows;
  return [`session ${index + 1} (${session.id}): ${end}`, ...shown].join("\n");
}

/** Neighbours of one type in one line: audio comes in many pieces. */
function merged(entries: readonly JournalEntry[]): Array<{ entry: JournalEntry; times: number }> {
  const rows: Array<{ entry: JournalEntry; times: number }> = [];
  for (const entry of entries) {
    const last = rows.at(-1);
    const isPiece = entry.type?.endsWith(".delta") || entry.type === "input_audio_buffer.append" || entry.type === "binary";
    if (last && isPiece && last.entry.type === entry.type && last.entry.way === entry.way) last.times += 1;
    else rows.push({ entry, times: 1 });
  }
  return rows;
}

/** The words, arguments or error of a frame. */
function wordsOf({ frame }: JournalEntry): string {
  const found = firstText(frame, ["transcript", "arguments", "output", "text", "message", "reason"]);
  return found.length > MOST_DETAIL ? `${found.slice(0, MOST_DETAIL - 1)}…` : found;
}

function firstText(value: unknown, names: readonly string[]): string {
  if (typeof value !== "object" || value === null) return "";
  for (const name of names) {
    const found = (value as Record<string, unknown>)[name];
    if (typeof found === "string" && found) return found;
  }
  for (const part of Object.values(value)) {
    const found = firstText(part, names);
    if (found) return found;
  }
  return "";
}

/** A finding as a line. */
export const lineOf = (finding: Finding): string => `${finding.level} ${finding.rule}: ${finding.message} → ${finding.fix}`;
