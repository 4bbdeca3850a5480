// Speaks with a server.

import { AudioSource, DEFAULT_SAMPLE_RATE, WholeSamples, readAudio } from "./audio.js";
import { Bistream, BistreamEvent, Texts, abortReason } from "./bistream.js";
import {
  APIError,
  ConnectionFailedError,
  LightTTSError,
  RequestTimeoutError,
  fromResponse,
} from "./errors.js";
import { SocketConstructor, socketConstructor } from "./socket.js";

export interface ClientOptions {
  /** The server's address; default `http://localhost:8080`. */
  baseUrl?: string;
  /**
   * Milliseconds that the server may stay silent; default 30000. A whole synthesis is silent until
   * it is done.
   */
  timeout?: number;
  /** How often a request is repeated that was turned away with 429 or 503; default 2. */
  maxRetries?: number;
  /** A longer `Retry-After` is not waited for, in milliseconds; default 30000. */
  maxRetryWait?: number;
  /** Sent as a bearer token; on a WebSocket, where browsers set no headers, as `?api_key=`. */
  apiKey?: string;
  /** Another WebSocket than the platform's. */
  WebSocket?: SocketConstructor;
}

/** Who speaks, and how: a recording with its words, or a registered voice. */
export interface VoiceOptions {
  /** What is said in `referenceAudio`. */
  promptText?: string;
  referenceAudio?: AudioSource;
  /** A registered voice, in place of both. */
  voice?: string;
  model?: string;
  sampleRate?: number;
  /** Equal seeds give equal speech. */
  seed?: number;
  signal?: AbortSignal;
}

export interface StreamOptions extends VoiceOptions {
  text: string;
}

export interface SynthesizeOptions extends StreamOptions {
  /** 0.5 to 2. */
  speed?: number;
  /** Default `wav`. */
  responseFormat?: string;
}

export interface BistreamOptions extends VoiceOptions {
  onEvent?: (event: BistreamEvent) => void;
}

/**
 * Speech as it is made: iterate, once, for chunks of 16-bit little-endian mono samples. Leaving the
 * loop early ends the synthesis.
 */
export class AudioStream implements AsyncIterable<Uint8Array> {
  /** Hertz of the samples. */
  readonly sampleRate: number;
  /** The name of the request in the server's log. */
  readonly requestId: string | null;
  private closed = false;

  constructor(
    private readonly response: Response,
    private readonly watch: Watch,
  ) {
    const rate = Number(response.headers.get("x-sample-rate"));
    this.sampleRate = rate || DEFAULT_SAMPLE_RATE;
    this.requestId = response.headers.get("x-request-id");
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    const reader = this.response.body?.getReader();
    const samples = new WholeSamples();
    try {
      while (reader) {
        this.watch.restart();
        const { done, value } = await reader.read().catch((error) => {
          if (this.closed) return { done: true as const, value: undefined };
          return this.watch.rethrow(error);
        });
        // A slow listener is no slow server.
        this.watch.stop();
        if (done) return;
        const chunk = samples.take(value);
        if (chunk.length > 0) yield chunk;
      }
    } finally {
      this.close();
    }
  }

  /** Ends the synthesis, whatever is left of it. */
  close(): void {
    this.closed = true;
    this.watch.end();
  }
}

/** Aborts a request that is silent for too long, or that its caller aborts. */
class Watch {
  private readonly controller = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly timeout: number,
    private readonly caller?: AbortSignal,
  ) {
    if (caller?.aborted) this.controller.abort();
    caller?.addEventListener("abort", this.end, { once: true });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  restart(): void {
    this.stop();
    const late = () => this.controller.abort(new RequestTimeoutError("the server does not answer"));
    this.timer = setTimeout(late, this.timeout);
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  readonly end = (): void => {
    this.stop();
    this.caller?.removeEventListener("abort", this.end);
    this.controller.abort();
  };

  /** Throws what became of a request, in this package's words. */
  rethrow(error: unknown): never {
    const reason: unknown = this.signal.reason;
    this.end();
    if (this.caller?.aborted) throw abortReason(this.caller);
    if (reason instanceof LightTTSError) throw reason;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const words = cause instanceof Error ? cause.message : String(cause);
    throw new ConnectionFailedError(words || "no connection", { cause: error });
  }
}

export class LightTTSClient {
  readonly baseUrl: string;
  private readonly timeout: number;
  private readonly maxRetries: number;
  private readonly maxRetryWait: number;

  constructor(private readonly options: ClientOptions = {}) {
    this.baseUrl = (options.baseUrl ?? "http://localhost:8080").replace(/\/+$/, "");
    if (!/^https?:\/\//.test(this.baseUrl)) {
      throw new TypeError(`baseUrl must begin with http:// or https://, not ${this.baseUrl}`);
    }
    this.timeout = options.timeout ?? 30000;
    this.maxRetries = options.maxRetries ?? 2;
    this.maxRetryWait = options.maxRetryWait ?? 30000;
  }

  /** Speaks `text`. Resolves to the whole of it, a WAV file unless `responseFormat` differs. */
  async synthesize(options: SynthesizeOptions): Promise<Uint8Array> {
    const { response, watch } = await this.post(options, false);
    try {
      return new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      return watch.rethrow(error);
    } finally {
      watch.end();
    }
  }

  /** Speaks `text`; iterate over the result for samples as they are made. */
  async synthesizeStream(options: StreamOptions): Promise<AudioStream> {
    const { response, watch } = await this.post(options, true);
    watch.stop();
    return new AudioStream(response, watch);
  }

  /** Opens an utterance whose text comes piece by piece. */
  async bistream(options: BistreamOptions = {}): Promise<Bistream> {
    const { voice, promptText, referenceAudio, model, sampleRate, seed, onEvent, signal } = options;
    const fields = {
      prompt_text: promptText,
      voice,
      tts_model_name: model ?? "default",
      sample_rate: sampleRate,
      seed,
      events: onEvent ? true : undefined,
    };
    const url = new URL(`${this.baseUrl}/inference_zero_shot_bistream`);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (this.options.apiKey) url.searchParams.set("api_key", this.options.apiKey);
    const prompted = voice === undefined && referenceAudio !== undefined;
    return Bistream.open(await socketConstructor(this.options.WebSocket), {
      url: url.href,
      init: fields,
      prompt: prompted ? await readAudio(referenceAudio) : undefined,
      timeout: this.timeout,
      sampleRate,
      onEvent,
      signal,
    });
  }

  /** Speaks the pieces of `texts` as they come, such as a language model's tokens. */
  async *synthesizeBistream(
    texts: Texts,
    options: BistreamOptions = {},
  ): AsyncGenerator<Uint8Array, void, void> {
    const stream = await this.bistream(options);
    stream.feed(texts);
    yield* stream;
  }

  /** The names of the loaded models. */
  async models(): Promise<string[]> {
    return (await this.names("/query_tts_model")).tts_models ?? [];
  }

  /**
   * The names that `voice` may have. Rejects with NotFoundError where the server has no
   * `/v1/audio/voices`, as LightTTS's own.
   */
  async voices(): Promise<string[]> {
    return (await this.names("/v1/audio/voices")).voices ?? [];
  }

  /** Whether the model is loaded and the server takes requests. */
  async ready(): Promise<boolean> {
    try {
      const { watch } = await this.fetch("/readiness", {});
      watch.end();
      return true;
    } catch (error) {
      if (error instanceof LightTTSError) return false;
      throw error;
    }
  }

  /** Waits until `ready()`, at most so many milliseconds. */
  async waitUntilReady(timeout = 60000): Promise<void> {
    const end = Date.now() + timeout;
    while (!(await this.ready())) {
      if (Date.now() >= end) throw new RequestTimeoutError(`not ready after ${timeout} ms`);
      await sleep(200);
    }
  }

  private async names(path: string): Promise<{ tts_models?: string[]; voices?: string[] }> {
    const { response, watch } = await this.retrying(() => this.fetch(path, {}));
    try {
      return await response.json();
    } catch (error) {
      return watch.rethrow(error);
    } finally {
      watch.end();
    }
  }

  private async post(options: SynthesizeOptions, stream: boolean) {
    const fields: Record<string, string | number | undefined> = {
      tts_text: options.text,
      prompt_text: options.promptText,
      voice: options.voice,
      stream: String(stream),
      speed: options.speed === 1 ? undefined : options.speed,
      tts_model_name: options.model,
      sample_rate: options.sampleRate,
      seed: options.seed,
      response_format: options.responseFormat,
    };
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined) form.append(name, String(value));
    }
    if (options.referenceAudio !== undefined) {
      const audio = await readAudio(options.referenceAudio);
      form.append("prompt_wav", new Blob([audio], { type: "audio/wav" }), "reference.wav");
    }
    const init = { method: "POST", body: form };
    const { signal } = options;
    return this.retrying(() => this.fetch("/inference_zero_shot", init, signal), signal);
  }

  /** One attempt. What the caller gets, it has to `end`. */
  private async fetch(path: string, init: RequestInit, signal?: AbortSignal) {
    const watch = new Watch(this.timeout, signal);
    watch.restart();
    const headers: Record<string, string> = {};
    if (this.options.apiKey) headers.authorization = `Bearer ${this.options.apiKey}`;
    try {
      const request = { ...init, headers, signal: watch.signal };
      const response = await fetch(`${this.baseUrl}${path}`, request);
      if (response.ok) return { response, watch };
      const error = fromResponse(response.status, response.headers, await response.text());
      watch.end();
      throw error;
    } catch (error) {
      if (error instanceof APIError) throw error;
      return watch.rethrow(error);
    }
  }

  /** Repeats what was turned away, after the time that the server names. */
  private async retrying<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let tried = 0; ; tried += 1) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof APIError) || !error.retryable || tried >= this.maxRetries) throw error;
        const wait = 1000 * (error.retryAfter ?? 0.5 * 2 ** tried);
        if (wait > this.maxRetryWait) throw error;
        // A little later than asked, each client at another moment.
        await sleep(wait * (1 + 0.1 * Math.random()), signal);
      }
    }
  }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(abortReason(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
  });
}
