// A client of the mock: one connection, typed turns.

import { once } from "node:events";
import WebSocket from "ws";

export interface Address {
  readonly url: string;
  readonly apiKey: string;
}

export type Event = { type: string } & Record<string, unknown>;

export class Caller {
  readonly #unread: Event[] = [];
  #wake: () => void = () => {};

  private constructor(readonly socket: WebSocket) {
    socket.on("message", (data) => {
      this.#unread.push(JSON.parse(String(data)) as Event);
      this.#wake();
    });
  }

  /** Resolves with the caller of an open connection; rejects with the refusal of the handshake. */
  static async dial(mock: Address, model = "grok-voice-think-fast-1.0"): Promise<Caller> {
    const socket = new WebSocket(`${mock.url}?model=${model}`, { headers: { authorization: `Bearer ${mock.apiKey}` } });
    const caller = new Caller(socket);
    await once(socket, "open");
    return caller;
  }

  send(event: Event): void {
    this.socket.send(JSON.stringify(event));
  }

  /** The next event of a type. */
  async next(type: string): Promise<Event> {
    for (;;) {
      const event = this.#unread.shift();
      if (event?.type === type) return event;
      if (!event) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** The words of the answer to a typed turn. */
  async ask(text: string): Promise<string> {
    this.send({ type: "conversation.item.create", item: { type: "message", role: "user", content: [{ type: "input_text", text }] } });
    this.send({ type: "response.create" });
    const { transcript } = await this.next("response.output_audio_transcript.done");
    await this.next("response.done");
    return String(transcript);
  }

  /** A mistake: the result of a call that there was not. */
  answerNothing(): void {
    this.send({ type: "conversation.item.create", item: { type: "function_call_output", call_id: "call_none", output: "{}" } });
  }

  async close(): Promise<void> {
    this.socket.close();
    await once(this.socket, "close");
  }
}
