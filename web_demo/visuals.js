// What there is to see of the sound: a spectrogram that takes one column a frame, the wave of the
// whole utterance, and the packets as they came. Nothing is drawn while nothing sounds.

import { barOf } from "./wav.js";
import { openedAudio, RATE } from "./player.js";

const LOWEST = 60;
const HIGHEST = 10000;
const COLUMN = 2;

const still = matchMedia("(prefers-reduced-motion: reduce)");

let colors;

/** The theme's colours. Call it again when the theme changes. */
export function readColors() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  colors = { ink: of("--ink"), line: of("--line"), accent: of("--accent"), soft: of("--soft"), ramp: ramp(of("--heat").split(",")) };
}

/** 256 colours between some `#rrggbb` (quiet to loud), the quiet end fading to nothing; as pixels. */
function ramp(stops) {
  const rgb = stops.map((stop) => [1, 3, 5].map((i) => parseInt(stop.trim().slice(i, i + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, value) => {
    const place = (value / 255) * (rgb.length - 1);
    const at = Math.min(rgb.length - 2, Math.floor(place));
    const mix = (i) => Math.round(rgb[at][i] + (rgb[at + 1][i] - rgb[at][i]) * (place - at));
    const opaque = Math.min(255, Math.round(value * 2.2));
    return ((opaque << 24) | (mix(2) << 16) | (mix(1) << 8) | mix(0)) >>> 0;
  });
}

/** Sets a canvas to its size on the screen. True if that changed it. */
function fitted(canvas) {
  const scale = Math.min(2, devicePixelRatio);
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (canvas.width === width && canvas.height === height) return false;
  canvas.width = width;
  canvas.height = height;
  return true;
}

/** Columns go round a hidden canvas; two copies of it make the picture scroll. */
export class Spectrogram {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.hidden = document.createElement("canvas");
    this.hiddenPen = this.hidden.getContext("2d");
    this.clear();
  }

  clear() {
    this.head = 0;
    fitted(this.canvas);
    const { width, height } = this.canvas;
    this.hidden.width = Math.max(1, Math.ceil(width / COLUMN));
    this.hidden.height = Math.max(1, height);
    this.column = this.hiddenPen.createImageData(1, this.hidden.height);
    this.pixels = new Uint32Array(this.column.data.buffer);
    this.rows = null;
    this.pen.clearRect(0, 0, width, height);
  }

  /** Which bin each row shows: equal steps of pitch. */
  plan(bins) {
    const { height } = this.hidden;
    this.rows = Float32Array.from({ length: height }, (_, row) => {
      const pitch = LOWEST * (HIGHEST / LOWEST) ** (1 - row / height);
      return (pitch / (RATE / 2)) * bins;
    });
    this.levels = new Uint8Array(bins);
  }

  draw() {
    const analyser = openedAudio()?.analyser;
    if (!analyser) return;
    if (this.canvas.clientWidth && fitted(this.canvas)) this.clear();
    if (!this.rows) this.plan(analyser.frequencyBinCount);
    analyser.getByteFrequencyData(this.levels);
    const { rows, levels, pixels } = this;
    for (let row = 0; row < rows.length; row += 1) {
      const low = Math.floor(rows[row]);
      const part = rows[row] - low;
      const level = levels[low] * (1 - part) + levels[low + 1] * part;
      pixels[row] = colors.ramp[Math.round(level)];
    }
    const { width, height } = this.hidden;
    this.hiddenPen.putImageData(this.column, this.head, 0);
    this.head = (this.head + 1) % width;
    const pen = this.pen;
    pen.imageSmoothingEnabled = false;
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (still.matches) {
      // Nothing moves: the new column overwrites the oldest in its place.
      pen.drawImage(this.hidden, 0, 0, width, height, 0, 0, width * COLUMN, height);
      pen.fillStyle = colors.accent;
      pen.fillRect(this.head * COLUMN, 0, 1, height);
      return;
    }
    const old = width - this.head;
    if (old > 0) pen.drawImage(this.hidden, this.head, 0, old, height, 0, 0, old * COLUMN, height);
    if (this.head > 0) pen.drawImage(this.hidden, 0, 0, this.head, height, old * COLUMN, 0, this.head * COLUMN, height);
  }
}

/** Pixels from bar to bar. */
const stepOf = () => Math.max(2, Math.round(3 * Math.min(2, devicePixelRatio)));
const placesOf = (width) => Math.floor(width / stepOf());

/** The wave from `peaks` (one per 20 ms): what was played in colour, what is buffered without. */
export function drawWave(canvas, peaks, playedSamples, rate = RATE) {
  fitted(canvas);
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  pen.clearRect(0, 0, width, height);
  const step = stepOf();
  const places = placesOf(width);
  const bars = Math.max(places, peaks.length);
  const played = playedSamples / barOf(rate);
  for (let place = 0; place < places; place += 1) {
    const from = Math.floor((place * bars) / places);
    const to = Math.max(from + 1, Math.floor(((place + 1) * bars) / places));
    if (from >= peaks.length) break;
    let loud = 0;
    for (let i = from; i < to; i += 1) loud = Math.max(loud, peaks[i] ?? 0);
    const tall = Math.max(step * 0.6, Math.min(1, loud * 1.3) * height);
    pen.fillStyle = from < played ? colors.accent : colors.soft;
    pen.globalAlpha = from < played ? 1 : 0.55;
    pen.fillRect(place * step, (height - tall) / 2, step * 0.6, tall);
  }
  pen.globalAlpha = 1;
}

/** Every packet as a block as long as its sound. */
export function drawHops(canvas, hops, playedSeconds) {
  fitted(canvas);
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  pen.clearRect(0, 0, width, height);
  if (hops.length === 0) return;
  const total = hops.reduce((sum, hop) => sum + hop.seconds, 0);
  // In step with the wave above it.
  const scale = width / Math.max(placesOf(width) / 50, total);
  let at = 0;
  hops.forEach((hop) => {
    pen.fillStyle = at < playedSeconds ? colors.accent : colors.soft;
    pen.globalAlpha = at < playedSeconds ? 1 : 0.45;
    const wide = hop.seconds * scale;
    pen.fillRect(at * scale, 0, Math.max(1, wide - Math.min(2, wide / 3)), height);
    at += hop.seconds;
  });
  pen.globalAlpha = 1;
}
