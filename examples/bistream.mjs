#!/usr/bin/env node
// Speaks text while it comes: words go up, sound comes down, on one WebSocket.
//
//   node examples/bistream.mjs "Hello there. The bus was late because of the heavy rain."
//   fortune | node examples/bistream.mjs
//   node examples/bistream.mjs --prompt-wav me.wav --prompt-text "What I say in me.wav." "Hello."
//
// Needs no package. Node 22 and browsers have WebSocket; Node 20.10 to 21 have it behind a flag,
// with which this program starts itself again. Writes out.wav (or -o FILE) and prints when the
// first sound came. Needs a running server: mynah serve

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
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

/** Word by word, as a language model would write them. */
async function* words(text) {
  for (const word of text.split(/\s+/).filter(Boolean)) {
    yield `${word} `;
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Standard input, as it comes: pieces may end inside a word. */
async function* typed() {
  process.stdin.setEncoding("utf8");
  yield* process.stdin;
}

/**
 * Sends `pieces` and hands each audio frame to `onAudio`. Resolves to the milliseconds from the
 * first text to the first audio; rejects with the server's words. Runs in browsers too.
 */
function speak(url, init, promptWav, pieces, onAudio) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    let firstText = null;
    let firstAudio = null;
    let error = null;
    socket.binaryType = "arraybuffer";
    socket.onopen = async () => {
      socket.send(JSON.stringify(init));
      // One binary frame or several: the first text frame ends the recording.
      if (promptWav) socket.send(promptWav);
      for await (const piece of pieces) {
        if (socket.readyState !== WebSocket.OPEN) return;
        firstText ??= performance.now();
        socket.send(JSON.stringify({ tts_text: piece, finish: false }));
      }
      socket.send(JSON.stringify({ tts_text: "", finish: true }));
    };
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") {
        firstAudio ??= performance.now();
        onAudio(data);
        return;
      }
      const answer = JSON.parse(data);
      if (answer.error_code) error = `${answer.error_code}: ${answer.message} (${answer.detail})`;
    };
    // A connection that never was need not be closed: not every WebSocket tells that it is.
    socket.onerror = () => firstText === null && reject(new Error(`no connection to ${url}`));
    // The server closes with 1000 after the last audio.
    socket.onclose = ({ code }) => {
      if (code === 1000 && !error) resolve(firstAudio === null ? null : firstAudio - firstText);
      else reject(new Error(error ?? `the server closed with ${code}`));
    };
  });
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
    "prompt-wav": { type: "string" },
    "prompt-text": { type: "string" },
    seed: { type: "string" },
  },
});
const init = { tts_model_name: "default", sample_rate: RATE };
if (options.seed) init.seed = Number(options.seed);
let promptWav = null;
if (options["prompt-wav"]) {
  if (!options["prompt-text"]) fail("--prompt-wav needs --prompt-text");
  init.prompt_text = options["prompt-text"];
  promptWav = readFileSync(options["prompt-wav"]);
} else {
  init.voice = options.voice;
}

const frames = [];
const url = `${options.url.replace(/\/$/, "")}/inference_zero_shot_bistream`;
const pieces = positionals.length > 0 ? words(positionals.join(" ")) : typed();
try {
  const first = await speak(url, init, promptWav, pieces, (frame) => frames.push(Buffer.from(frame)));
  const audio = Buffer.concat(frames);
  writeFileSync(options.output, wavFile(audio));
  const when = first === null ? "none" : `${Math.round(first)} ms after the first text`;
  console.log(`first packet: ${when}; ${(audio.length / 2 / RATE).toFixed(2)} s of speech in ${options.output}`);
  process.exit(0);
} catch (error) {
  fail(error.message);
}
