// The microphone: what it hears, as samples, and how loud it is.

import { loadWorklet } from "./player.js";
import { joined } from "./wav.js";

/** The longest recording the server takes as a voice, in seconds. */
export const LONGEST = 30;
export const SHORTEST = 0.5;

/** Whether this page may ask for a microphone: browsers allow it on https and on localhost only. */
export const canRecord = () => Boolean(navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode);

/** Records until `stop`, or until it is as long as a voice may be; then `full` is called. */
export class Recorder {
  /** `heard(level 0..1, seconds)` comes some fifty times a second. */
  constructor(heard, full) {
    this.heard = heard;
    this.full = full;
    this.pieces = [];
    this.length = 0;
  }

  async start() {
    this.stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true },
    });
    // At the microphone's own rate: not every browser converts here.
    this.context = new AudioContext();
    await loadWorklet(this.context);
    const node = new AudioWorkletNode(this.context, "listener", { numberOfInputs: 1, numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => this.take(data);
    this.node = node;
    this.context.createMediaStreamSource(this.stream).connect(node);
  }

  take(piece) {
    if (this.ended) return;
    this.pieces.push(piece);
    this.length += piece.length;
    let square = 0;
    for (const sample of piece) square += sample * sample;
    const decibels = 10 * Math.log10(square / piece.length + 1e-9);
    const seconds = this.length / this.context.sampleRate;
    this.heard(Math.max(0, Math.min(1, (decibels + 60) / 54)), seconds);
    if (seconds >= LONGEST) this.full();
  }

  /** Lets go of the microphone. Returns `{samples, rate}`. */
  async stop() {
    this.ended = true;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.node?.port.postMessage("stop");
    const rate = this.context?.sampleRate ?? 48000;
    await this.context?.close();
    return { samples: joined(this.pieces, Float32Array), rate };
  }
}

/** A sound file as `{samples, rate}`, mixed to one channel. */
export async function decodeFile(file) {
  const context = new OfflineAudioContext(1, 1, 48000);
  const buffer = await context.decodeAudioData(await file.arrayBuffer());
  const samples = new Float32Array(buffer.length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
    const data = buffer.getChannelData(channel);
    for (let i = 0; i < data.length; i += 1) samples[i] += data[i] / buffer.numberOfChannels;
  }
  return { samples, rate: buffer.sampleRate };
}

/** Where speech begins and ends, in seconds, with a little air around it. */
export function speechSpan({ samples, rate }) {
  const window = Math.round(rate / 50);
  const loud = [];
  for (let at = 0; at < samples.length; at += window) {
    let square = 0;
    const end = Math.min(samples.length, at + window);
    for (let i = at; i < end; i += 1) square += samples[i] * samples[i];
    loud.push(Math.sqrt(square / (end - at)));
  }
  const floor = Math.max(0.003, 0.06 * Math.max(0, ...loud));
  const first = loud.findIndex((level) => level > floor);
  const last = loud.findLastIndex((level) => level > floor);
  const whole = samples.length / rate;
  if (first < 0) return { from: 0, to: whole };
  return { from: Math.max(0, first / 50 - 0.15), to: Math.min(whole, (last + 1) / 50 + 0.25) };
}

/** What is wrong or doubtful with a recording: `{good, words, values}`. */
export function checked(samples, rate) {
  const seconds = samples.length / rate;
  const values = { seconds: seconds.toFixed(1), least: SHORTEST, most: LONGEST };
  if (seconds < SHORTEST) return { good: false, words: "{seconds} s is too short: {least} s at least.", values };
  if (seconds > LONGEST) return { good: false, words: "{seconds} s is too long: {most} s at most. Trim it.", values };
  let peak = 0;
  let clipped = 0;
  for (const sample of samples) {
    const loud = Math.abs(sample);
    peak = Math.max(peak, loud);
    if (loud > 0.985) clipped += 1;
  }
  if (peak < 0.01) return { good: false, words: "Nothing is heard in it. Is the right microphone chosen?", values };
  if (peak < 0.08) return { good: true, words: "{seconds} s. It is very quiet: a louder one sounds better.", values };
  if (clipped > rate / 100) return { good: true, words: "{seconds} s. It is distorted: stand further away.", values };
  if (seconds < 2.5) return { good: true, words: "{seconds} s. It will do; 5 to 10 s sound better.", values };
  return { good: true, words: "{seconds} s. A good length.", values };
}
