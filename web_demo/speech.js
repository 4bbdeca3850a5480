// One utterance: text goes to a door, sound comes back and is played and measured.

import { openDoor } from "./doors.js";
import { t } from "./i18n.js";
import { Karaoke } from "./karaoke.js";
import { openAudio, streamPlayer, RATE } from "./player.js";
import { addPeaks, barOf, joined, wavFile } from "./wav.js";

/** Seconds per unit of text, by voice, learned while the page is open. */
const rates = new Map();

/**
 * State: "connecting", "streaming" (no sound yet), "playing", then "done", "stopped" or "error".
 * `changed(speech)` is called whenever something of it is different.
 */
export class Speech {
  /** `silent`: the sound is kept and measured, and not played. */
  constructor(voice, changed, { silent = false } = {}) {
    this.voice = voice;
    this.changed = changed;
    this.silent = silent;
    this.state = "connecting";
    this.error = null;
    /** Text that left. */
    this.sent = "";
    this.finished = false;
    this.chunks = [];
    this.samples = 0;
    this.peaks = [];
    /** Packets of sound: when they came (ms after the first text) and how much sound they hold. */
    this.hops = [];
    this.firstText = null;
    /** Milliseconds from the first text to the first sound. */
    this.firstPacket = null;
    this.serverFirst = null;
    this.complete = false;
    this.played = 0;
    this.gaps = 0;
    this.karaoke = new Karaoke(rates.get(voice.id));
    this.start().catch((error) => this.fail(t("This browser cannot do it: {why}", { why: error.message })));
  }

  async start() {
    const [audio, recording] = await Promise.all([
      this.silent ? null : openAudio(),
      this.voice.wav?.arrayBuffer(),
    ]);
    if (this.over) return;
    this.audio = audio;
    this.player = this.silent ? null : streamPlayer(audio, (report) => this.progress(report));
    this.door = openDoor({ ...this.voice, recording }, {
      sound: (samples) => this.heard(samples),
      words: (words) => {
        this.timed = true;
        this.karaoke.add(words);
      },
      info: (info) => this.told(info),
      closed: (error) => this.closed(error),
    });
    this.enter("streaming");
    const text = this.sent;
    this.sent = "";
    if (text) this.append(text);
    if (this.finished) this.end();
  }

  get over() {
    return this.state === "done" || this.state === "stopped" || this.state === "error";
  }

  enter(state) {
    if (this.over) return;
    this.state = state;
    this.changed(this);
  }

  append(text) {
    this.sent += text;
    this.karaoke.setText(this.sent);
    if (!this.door) return;
    if (/\S/.test(text)) this.firstText ??= performance.now();
    this.door.text(text);
  }

  /** No more text follows. */
  finish() {
    if (this.finished) return;
    this.finished = true;
    if (this.door) this.end();
    this.changed(this);
  }

  end() {
    this.door.finish();
    this.player?.textSent();
  }

  heard(samples) {
    if (this.over) return;
    const now = performance.now();
    // Also what connecting took, and sending a recording: the reader waits for all of it.
    const since = now - (this.firstText ?? now);
    this.firstPacket ??= since;
    this.hops.push({ at: since, seconds: samples.length / RATE });
    addPeaks(this.peaks, samples, this.samples, barOf(RATE), 1 / 32768);
    this.samples += samples.length;
    this.chunks.push(samples);
    this.player?.push(samples);
    this.enter("playing");
  }

  told(info) {
    if (info.event === "audio_start") this.serverFirst = info.first_packet_ms ?? null;
    this.changed(this);
  }

  /** The server closed the stream. What came is played to its end. */
  closed(error) {
    if (this.over) return;
    if (error) return this.fail(error);
    this.complete = true;
    this.karaoke.ended(this.samples / RATE);
    if (this.samples > 0) rates.set(this.voice.id, this.karaoke.rate);
    if (!this.player) return this.enter("done");
    this.player.end();
    this.changed(this);
  }

  progress(report) {
    if (this.over) return;
    if (report.full) return this.fail(t("That is more speech than this page can hold."));
    this.played = report.played;
    this.gaps = report.gaps;
    this.reportedAt = performance.now();
    if (report.drained) this.enter("done");
    else this.changed(this);
  }

  /** Samples that have left the loudspeaker by now. */
  playedNow() {
    if (this.over || !this.reportedAt) return this.played;
    const late = (this.audio.context.outputLatency || 0) * RATE;
    const since = Math.min(0.12, (performance.now() - this.reportedAt) / 1000) * RATE;
    return Math.max(0, Math.min(this.samples, this.played + since) - late);
  }

  /** Falls silent at once. */
  stop() {
    this.leave();
    this.enter("stopped");
  }

  fail(words) {
    this.error = words;
    this.leave();
    this.enter("error");
  }

  leave() {
    this.door?.cancel();
    this.player?.stop();
  }

  get seconds() {
    return this.samples / RATE;
  }

  /** Seconds of speech per second of waiting, after the first packet; null before the second. */
  get pace() {
    if (this.hops.length < 2) return null;
    const first = this.hops[0];
    const last = this.hops.at(-1);
    return (this.seconds - first.seconds) / Math.max(1e-3, (last.at - first.at) / 1000);
  }

  pcm() {
    return joined(this.chunks, Int16Array);
  }

  wav() {
    return wavFile(this.chunks, RATE);
  }
}
