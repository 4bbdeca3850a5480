#!/usr/bin/env node
// A voice agent's way of speaking: one WebSocket, one utterance after the other, each of which can
// be interrupted, with the time of every word.
//
//   node examples/realtime.mjs "Good morning and welcome to the show." "How are you?"
//   node examples/realtime.mjs --interrupt 600 "A sentence that nobody wants to hear to its end."
//
// Needs no package. Node 22 and browsers have WebSocket; Node 20.10 to 21 have it behind a flag,
// with which this program starts itself again. Writes out.wav (or -o FILE) and prints when each
// word is spoken. Needs a running server: mynah serve

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

const RATE = 24000;

if (!globalThis.WebSocket) {
  const flag = "--experimental-websocket";
  if (process.execArgv.includes(flag)) fail("this Node has no WebSocket; version 22 has");
  const again = spawnSync(process.execPath, [flag, ...process.argv.slice(1)], { stdio: "inherit" });
  process.exit(again.status ?? 1);
}

function fail(words) {
  console.error(`failed: ${words}`);
  process.exit(1);
}

/** A socket that speaks. Runs in browsers too. */
class Speaker {
  #socket;
  #utterances = new Map();
  #sounding = null;
  #count = 0;

  /** Resolves when the server is ready. `key`: an API key, where the server asks for one. */
  static connect(url, key) {
    const speaker = new Speaker();
    const protocols = ["mynah.realtime.v1", ...(key ? [`mynah.api_key.${key}`] : [])];
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(`${url}/v1/realtime/speech`, protocols);
      socket.binaryType = "arraybuffer";
      socket.onmessage = ({ data }) => {
        // Without `multiplex`, audio belongs to the context that said `audio_start` last.
        if (typeof data !== "string") return speaker.#sounding?.onAudio?.(data);
        const frame = JSON.parse(data);
        if (frame.type === "ready") resolve(speaker);
        else speaker.#hear(frame, reject);
      };
      socket.onerror = () => reject(new Error(`no connection to ${url}`));
      socket.onclose = ({ code }) => {
        const error = new Error(`the server closed with ${code}`);
        for (const utterance of speaker.#utterances.values()) utterance.reject(error);
        reject(error);
      };
      speaker.#socket = socket;
    });
  }

  /**
   * Speaks pieces of text as they come. `done` resolves to the server's `done`, or to null when
   * `cancel()` came first.
   */
  speak(pieces, { onAudio, onWords, ...options } = {}) {
    const context_id = `utterance-${(this.#count += 1)}`;
    const done = new Promise((resolve, reject) => {
      this.#utterances.set(context_id, { onAudio, onWords, resolve, reject });
    });
    this.#send({ type: "start", context_id, voice: "default", ...options });
    (async () => {
      for await (const text of pieces) {
        if (!this.#utterances.has(context_id)) return;
        this.#send({ type: "text", context_id, text });
      }
      this.#send({ type: "close_context", context_id });
    })();
    return { done, cancel: () => this.#send({ type: "cancel", context_id }) };
  }

  close() {
    this.#socket.close(1000);
  }

  #send(frame) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #hear(frame, reject) {
    const words = `${frame.error_code}: ${frame.message} (${frame.detail})`;
    const utterance = this.#utterances.get(frame.context_id);
    if (!utterance) {
      if (frame.type === "error") reject(new Error(words));
      return;
    }
    if (frame.type === "audio_start") this.#sounding = utterance;
    if (frame.type === "words") utterance.onWords?.(frame.words, frame.final);
    if (!["done", "cancelled", "error"].includes(frame.type)) return;
    this.#utterances.delete(frame.context_id);
    if (frame.type === "error") utterance.reject(new Error(words));
    else utterance.resolve(frame.type === "done" ? frame : null);
  }
}

function wavFile(audio) {
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + audio.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20); // PCM
  header.writeUInt16LE(1, 22); // mono
  header.writeUInt32LE(RATE, 24);
  header.writeUInt32LE(2 * RATE, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(audio.length, 40);
  return Buffer.concat([header, audio]);
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: "string", default: "ws://localhost:8080" },
    output: { type: "string", short: "o", default: "out.wav" },
    voice: { type: "string", default: "default" },
    seed: { type: "string" },
    key: { type: "string" },
    interrupt: { type: "string" },
  },
});
const texts = positionals.length > 0 ? positionals : ["Good morning and welcome to the show."];
const settings = { voice: options.voice, sample_rate: RATE, timestamps: true };
if (options.seed) settings.seed = Number(options.seed);

const frames = [];
try {
  const speaker = await Speaker.connect(options.url.replace(/\/$/, ""), options.key);
  for (const text of texts) {
    const { done, cancel } = speaker.speak(text.split(/(?<=\s)/), {
      ...settings,
      onAudio: (frame) => frames.push(Buffer.from(frame)),
      onWords: (words, final) => {
        if (!final) return; // estimates, good enough to show words as they are heard
        for (const { text, start, end } of words) {
          console.log(`${start.toFixed(2).padStart(6)} to ${end.toFixed(2)} s  ${text}`);
        }
      },
    });
    const timer = options.interrupt && setTimeout(cancel, Number(options.interrupt));
    const end = await done;
    clearTimeout(timer);
    if (!end) console.log("interrupted");
    else console.log(`first packet after ${end.first_packet_ms} ms, ${end.audio_seconds} s of speech`);
  }
  speaker.close();
  writeFileSync(options.output, wavFile(Buffer.concat(frames)));
  process.exit(0);
} catch (error) {
  fail(error.message);
}
