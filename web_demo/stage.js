// What is seen while it sounds: the pictures, the word under the voice, the measurements.

import { followWord, tint } from "./composer.js";
import { t } from "./i18n.js";
import { RATE } from "./player.js";
import { drawHops, drawWave, readColors, Spectrogram } from "./visuals.js";

const at = (id) => document.getElementById(id);
/** Milliseconds between changes of the figures: faster cannot be read. */
const FIGURES_EVERY = 100;

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : null;
}

export class Stage {
  constructor() {
    readColors();
    this.spectrogram = new Spectrogram(at("spectrogram"));
    this.speech = null;
    this.shown = 0;
    this.word = null;
    new ResizeObserver(() => this.still()).observe(at("wave"));
  }

  follow(speech) {
    this.speech = speech;
    this.word = null;
    this.least = null;
    for (const id of ["first-packet", "hops", "buffer", "pace", "underruns"]) at(id).textContent = "–";
    for (const id of ["first-more", "hops-more", "buffer-more"]) at(id).textContent = "";
    delete at("first-packet").dataset.ms;
    at("samples").dataset.samples = 0;
    at("played").dataset.samples = 0;
    at("underruns").dataset.count = 0;
    at("download").removeAttribute("href");
    at("download").setAttribute("aria-disabled", "true");
    this.still();
    if (!this.running) this.frame();
  }

  frame() {
    this.running = Boolean(this.speech && !this.speech.over);
    if (!this.running) return;
    requestAnimationFrame(() => this.frame());
    if (this.speech.samples === 0) return;
    this.spectrogram.draw();
    const played = this.speech.playedNow();
    drawWave(at("wave"), this.speech.peaks, played);
    drawHops(at("hop-strip"), this.speech.hops, played / RATE);
    const word = this.speech.karaoke.at(played / RATE);
    if (word && word !== this.word && played > 0) {
      this.word = word;
      tint(this.speech, word);
      followWord();
      at("mirror").dataset.word = word.from;
    }
    if (performance.now() - this.shown > FIGURES_EVERY) this.figures();
  }

  /** One frame of the spectrogram, for sound that is no speech of the stage's own. */
  spectrum() {
    if (!this.running) this.spectrogram.draw();
  }

  figures() {
    const speech = this.speech;
    this.shown = performance.now();
    at("samples").textContent = t("{seconds} s", { seconds: speech.seconds.toFixed(1) });
    at("samples").dataset.samples = speech.samples;
    at("played").textContent = t("{seconds} s", { seconds: (speech.played / RATE).toFixed(1) });
    at("played").dataset.samples = speech.played;
    at("underruns").textContent = speech.gaps;
    at("underruns").dataset.count = speech.gaps;
    if (speech.firstPacket === null) return;
    at("first-packet").textContent = t("{ms} ms", { ms: Math.round(speech.firstPacket) });
    at("first-packet").dataset.ms = Math.max(1, Math.round(speech.firstPacket));
    at("first-more").textContent = speech.serverFirst === null ? "" : t("{ms} ms in the server", { ms: Math.round(speech.serverFirst) });
    at("hops").textContent = speech.hops.length;
    const waits = speech.hops.slice(1).map((hop, i) => hop.at - speech.hops[i].at);
    const wait = median(waits);
    at("hops-more").textContent = wait === null ? "" : t("one every {ms} ms", { ms: Math.round(wait) });
    const ahead = Math.max(0, speech.samples - speech.played) / RATE;
    if (!speech.complete && speech.played > 0) this.least = Math.min(this.least ?? ahead, ahead);
    at("buffer").textContent = t("{seconds} s", { seconds: ahead.toFixed(2) });
    at("buffer-more").textContent = this.least === null ? "" : t("never under {seconds} s", { seconds: this.least.toFixed(2) });
    at("pace").textContent = speech.pace === null ? "–" : `${speech.pace.toFixed(1)}×`;
  }

  /** Something new is known of the speech. */
  measured(speech) {
    if (speech === this.speech && performance.now() - this.shown > FIGURES_EVERY) this.figures();
  }

  /** The last picture of an utterance, and its file. */
  settle(speech) {
    this.running = false;
    this.figures();
    this.still();
    if (speech.samples === 0) return;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(speech.wav());
    at("download").href = this.url;
    at("download").download = fileName(speech.sent);
    at("download").removeAttribute("aria-disabled");
  }

  still() {
    drawWave(at("wave"), this.speech?.peaks ?? [], this.speech?.played ?? 0);
    drawHops(at("hop-strip"), this.speech?.hops ?? [], (this.speech?.played ?? 0) / RATE);
  }

  /** After a change of theme. */
  repaint() {
    readColors();
    this.spectrogram.clear();
    this.still();
  }
}

/** A file name from the first words of a text. */
export function fileName(text) {
  const words = text.trim().slice(0, 40).replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  return `mynah-${words || "speech"}.wav`;
}
