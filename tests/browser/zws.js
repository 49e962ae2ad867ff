// SPDX-License-Identifier: MPL-2.0
// A small client of ZWS 2.0 for browsers: one connection of a DEALER, REQ, PUSH or SUB (RFC 45).
//
// It speaks ZWS 2.0 without a mechanism: the names of the others ("ZWS2.0/NULL") have a slash in
// them, and no browser lets a page offer those, since RFC 6455 wants a token there.

const LAST = 0, MORE = 1, COMMAND = 2;

export const bytes = (text) => new TextEncoder().encode(text);
export const text = (bytes) => new TextDecoder().decode(bytes);

const toBytes = (part) => (typeof part === "string" ? bytes(part) : part);

function concat(...pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

// One connection. `opened` fulfils once traffic may begin, `closed` with the CloseEvent of its end.
export class Zws {
  constructor(url, type, { identity = "", protocols = ["ZWS2.0"] } = {}) {
    this.type = type;
    this.routingId = null; // the peer's: the first message of each side is its own
    this.parts = [];
    this.messages = [];
    this.readers = [];
    this.socket = new WebSocket(url, protocols);
    this.socket.binaryType = "arraybuffer";
    this.closed = new Promise((resolve) => {
      this.socket.onclose = (event) => {
        resolve(event);
        const error = new Error(`closed with ${event.code}`);
        this.fail(error);
        for (const reader of this.readers.splice(0)) reader.reject(error);
      };
    });
    this.opened = new Promise((resolve, reject) => {
      this.succeed = resolve;
      this.fail = reject;
    });
    this.opened.catch(() => {});
    this.socket.onopen = () => this.frame(LAST, bytes(identity));
    this.socket.onmessage = (event) => this.take(new Uint8Array(event.data));
  }

  frame(flags, body) {
    this.socket.send(concat(Uint8Array.of(flags), body));
  }

  take(frame) {
    const flags = frame[0];
    const body = frame.subarray(1);
    if (this.routingId === null) {
      this.routingId = body;
      this.succeed();
      return;
    }
    if (flags & COMMAND) return;
    this.parts.push(body);
    if (flags & MORE) return;
    const message = this.parts.splice(0);
    const reader = this.readers.shift();
    if (reader) reader.resolve(message);
    else this.messages.push(message);
  }

  // A message of one or several parts, texts or bytes.
  send(...parts) {
    if (this.type === "REQ") parts.unshift("");
    parts.forEach((part, at) => this.frame(at + 1 < parts.length ? MORE : LAST, toBytes(part)));
  }

  // The parts of the next message.
  async receive() {
    const message =
      this.messages.shift() ??
      (await new Promise((resolve, reject) => this.readers.push({ resolve, reject })));
    if (this.type !== "REQ") return message;
    const [empty, ...reply] = message;
    if (empty.length !== 0) throw new Error("a reply without an empty part in front");
    return reply;
  }

  subscribe(topic) {
    this.frame(LAST, concat(Uint8Array.of(1), toBytes(topic)));
  }

  unsubscribe(topic) {
    this.frame(LAST, concat(Uint8Array.of(0), toBytes(topic)));
  }

  close(...codeAndReason) {
    this.socket.close(...codeAndReason);
  }
}
