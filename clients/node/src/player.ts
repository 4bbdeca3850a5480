// Plays samples in a browser while they come.

import { pcmToFloat } from "./audio.js";

export interface PlayerOptions {
  /** Hertz of the samples. */
  sampleRate: number;
  /** Seconds that are gathered before the first sound, against an uneven network; default 0.1. */
  lead?: number;
  /** An AudioContext to play into; without it, the player makes and closes its own. */
  context?: AudioContext;
}

/**
 * A queue of buffers, each scheduled to begin where the one before it ends. It needs no worklet and
 * no MediaSource, so it plays on pages without HTTPS too. Browsers let a page sound only after a
 * click or a key: make the player in that event's handler.
 */
export class StreamingPlayer {
  readonly context: AudioContext;
  /** How often the sound ran dry before `finish`. */
  gaps = 0;
  private readonly own: boolean;
  private readonly rate: number;
  private readonly lead: number;
  private readonly playing = new Set<AudioBufferSourceNode>();
  private end = 0;
  private stopped = false;
  private scheduled = 0;
  private drained: (() => void) | undefined;

  constructor(options: PlayerOptions) {
    this.own = !options.context;
    this.context = options.context ?? new AudioContext();
    this.rate = options.sampleRate;
    this.lead = options.lead ?? 0.1;
    void this.context.resume();
  }

  /** Seconds of sound that were scheduled so far. */
  get seconds(): number {
    return this.scheduled / this.rate;
  }

  /** Takes more samples: 16-bit, little-endian, mono. */
  write(pcm: Uint8Array): void {
    const samples = pcmToFloat(pcm);
    if (this.stopped || samples.length === 0) return;
    const buffer = this.context.createBuffer(1, samples.length, this.rate);
    buffer.copyToChannel(samples, 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    const now = this.context.currentTime;
    if (this.end < now) {
      if (this.end > 0) this.gaps += 1;
      this.end = now + this.lead;
    }
    source.start(this.end);
    this.end += buffer.duration;
    this.scheduled += samples.length;
    this.playing.add(source);
    source.onended = () => {
      this.playing.delete(source);
      if (this.playing.size === 0) this.drained?.();
    };
  }

  /** Plays a whole stream. Resolves when the last sample was heard. */
  async play(stream: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of stream) {
      if (this.stopped) break;
      this.write(chunk);
    }
    await this.finish();
  }

  /** No more comes: resolves when the last sample was heard. */
  async finish(): Promise<void> {
    if (this.playing.size > 0) await new Promise<void>((resolve) => (this.drained = resolve));
    await this.release();
  }

  /** Falls silent at once. */
  async stop(): Promise<void> {
    this.stopped = true;
    for (const source of this.playing) source.stop();
    this.playing.clear();
    this.drained?.();
    await this.release();
  }

  private async release(): Promise<void> {
    if (this.own && this.context.state !== "closed") await this.context.close();
  }
}
