// Text up and speech down on one WebSocket.

import { DEFAULT_SAMPLE_RATE } from "./audio.js";
import { APIError, ConnectionFailedError, RequestTimeoutError, fromFrame } from "./errors.js";
import { OPEN, Socket, SocketConstructor } from "./socket.js";

/** A JSON event of the server: `audio_start`, `progress` or `done`, with timings. */
export interface BistreamEvent {
  event: string;
  [name: string]: unknown;
}

/** Pieces of text, such as a language model's tokens. */
export type Texts = Iterable<string> | AsyncIterable<string>;

/** Characters of one text frame; servers take up to 1000. */
const FRAME_CHARS = 500;

export interface BistreamSettings {
  url: string;
  init: Record<string, unknown>;
  prompt?: ArrayBuffer;
  /** Milliseconds to connect, and that the server may be silent after the last text. */
  timeout: number;
  sampleRate?: number;
  onEvent?: (event: BistreamEvent) => void;
  signal?: AbortSignal;
}

/**
 * One utterance whose text is still being written. Send text as it comes, and iterate, once, for
 * chunks of 16-bit little-endian mono samples. Leaving the loop early, or `close()`, ends the
 * synthesis at once.
 */
export class Bistream implements AsyncIterable<Uint8Array> {
  /** Hertz of the samples. */
  sampleRate: number;
  private readonly chunks: Uint8Array[] = [];
  private finished = false;
  private ended = false;
  private failure: unknown;
  private wake: (() => void) | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    private readonly socket: Socket,
    private readonly settings: BistreamSettings,
  ) {
    this.sampleRate = settings.sampleRate ?? DEFAULT_SAMPLE_RATE;
    socket.onmessage = ({ data }) => this.hear(data as string | ArrayBuffer);
    socket.onclose = ({ code }) => this.closed(code as number);
    socket.onerror = () => {};
    settings.signal?.addEventListener("abort", this.aborted, { once: true });
    if (settings.signal?.aborted) this.aborted();
  }

  /** Connects and sends who shall speak. */
  static open(make: SocketConstructor, settings: BistreamSettings): Promise<Bistream> {
    return new Promise((resolve, reject) => {
      const socket = new make(settings.url);
      socket.binaryType = "arraybuffer";
      const fail = (error: Error) => {
        clearTimeout(timer);
        settings.signal?.removeEventListener("abort", abort);
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.onerror = () => {};
        socket.close();
        reject(error);
      };
      const timer = setTimeout(
        () => fail(new RequestTimeoutError("the server does not answer")),
        settings.timeout,
      );
      const abort = () => fail(abortReason(settings.signal));
      const refused = () => fail(new ConnectionFailedError(`no connection to ${settings.url}`));
      settings.signal?.addEventListener("abort", abort, { once: true });
      socket.onerror = refused;
      socket.onclose = refused;
      socket.onopen = () => {
        clearTimeout(timer);
        settings.signal?.removeEventListener("abort", abort);
        const stream = new Bistream(socket, settings);
        socket.send(JSON.stringify(settings.init));
        if (settings.prompt) socket.send(settings.prompt);
        resolve(stream);
      };
    });
  }

  /** Sends more text. It may end anywhere, also inside a word. Throws what the server said, where it has ended. */
  send(text: string): void {
    this.check();
    const letters = [...text];
    for (let at = 0; at < letters.length; at += FRAME_CHARS) {
      const piece = letters.slice(at, at + FRAME_CHARS).join("");
      this.socket.send(JSON.stringify({ tts_text: piece, finish: false }));
    }
  }

  /** Sends the last text, or none: the rest is spoken, then the iteration ends. */
  finish(text = ""): void {
    if (this.finished) return;
    this.send(text);
    this.socket.send(JSON.stringify({ tts_text: "", finish: true }));
    this.finished = true;
    this.watch();
  }

  /**
   * Sends all of `texts` and finishes, in the background. What it throws, the reader gets. When the
   * conversation ends early, `texts` is closed.
   */
  feed(texts: Texts): void {
    const run = async () => {
      try {
        for await (const text of texts) {
          if (this.ended) return;
          this.send(text);
        }
        if (!this.ended) this.finish();
      } catch (error) {
        if (!this.ended) this.end(error);
      }
    };
    void run();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (;;) {
        const chunk = this.chunks.shift();
        if (chunk) {
          yield chunk;
        } else if (this.ended) {
          if (this.failure !== undefined) throw this.failure;
          return;
        } else {
          await new Promise<void>((resolve) => (this.wake = resolve));
        }
      }
    } finally {
      this.close();
    }
  }

  /** Ends the synthesis, whatever is left of it. */
  close(): void {
    this.end(undefined);
  }

  private hear(data: string | ArrayBuffer): void {
    if (this.ended) return;
    this.watch();
    if (typeof data !== "string") {
      this.chunks.push(new Uint8Array(data));
      this.wake?.();
      return;
    }
    let answer: Record<string, unknown>;
    try {
      answer = JSON.parse(data) as Record<string, unknown>;
    } catch {
      return this.end(new ConnectionFailedError("the server sent text that is not JSON"));
    }
    if (typeof answer.event !== "string") {
      // The close that follows has the code; where it does not come, this is what is known.
      this.failure = fromFrame(answer);
      return;
    }
    if (answer.event === "audio_start" && typeof answer.sample_rate === "number") {
      this.sampleRate = answer.sample_rate;
    }
    this.settings.onEvent?.(answer as BistreamEvent);
  }

  private closed(code: number): void {
    if (this.failure instanceof APIError) {
      (this.failure as { closeCode?: number }).closeCode = code;
      this.end(this.failure);
    } else if (code === 1000) {
      this.end(undefined);
    } else {
      this.end(new ConnectionFailedError(`the connection broke off (${code})`));
    }
  }

  private end(failure: unknown): void {
    if (this.ended) return;
    this.ended = true;
    this.failure = failure;
    clearTimeout(this.timer);
    this.settings.signal?.removeEventListener("abort", this.aborted);
    if (this.socket.readyState === OPEN) this.socket.close(1000);
    this.wake?.();
  }

  private readonly aborted = () => this.end(abortReason(this.settings.signal));

  /** After the last text, silence may not last longer than the timeout. */
  private watch(): void {
    if (!this.finished || this.ended) return;
    clearTimeout(this.timer);
    const words = `no audio came for ${this.settings.timeout} ms`;
    const late = () => this.end(this.failure ?? new RequestTimeoutError(words));
    this.timer = setTimeout(late, this.settings.timeout);
  }

  private check(): void {
    if (!this.ended) return;
    throw this.failure ?? new ConnectionFailedError("the conversation has ended");
  }
}

/** What an aborted signal was aborted with. */
export function abortReason(signal?: AbortSignal): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}
