#!/usr/bin/env node
// Speaks text while it comes, into a WAV file.
//
//   npm install && npm run build                          (once, in clients/node)
//   node examples/stream.mjs "Hello there. The bus was late because of the heavy rain."
//   fortune | node examples/stream.mjs
//   node examples/stream.mjs --prompt-wav me.wav --prompt-text "What I say in me.wav." "Hello."
//
// To hear it while it is made: node examples/stream.mjs -o - "Hello." |
//   ffplay -f s16le -ar 24000 -ch_layout mono -nodisp -autoexit -

import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { LightTTSClient, pcmToWav } from "@light-tts/client";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: "string", default: "http://localhost:8080" },
    output: { type: "string", short: "o", default: "out.wav" },
    voice: { type: "string", default: "default" },
    "prompt-wav": { type: "string" },
    "prompt-text": { type: "string" },
  },
});

/** Standard input, as it comes: pieces may end inside a word. */
async function* typed() {
  process.stdin.setEncoding("utf8");
  yield* process.stdin;
}

const speaker = options["prompt-wav"]
  ? { referenceAudio: readFileSync(options["prompt-wav"]), promptText: options["prompt-text"] }
  : { voice: options.voice };
const texts = positionals.length > 0 ? positionals.map((text) => `${text} `) : typed();

const client = new LightTTSClient({ baseUrl: options.url });
const chunks = [];
let first;
try {
  const stream = await client.bistream(speaker);
  const begun = performance.now();
  stream.feed(texts);
  for await (const chunk of stream) {
    first ??= performance.now() - begun;
    if (options.output === "-") process.stdout.write(chunk);
    chunks.push(chunk);
  }
  const wav = pcmToWav(chunks, stream.sampleRate);
  if (options.output !== "-") writeFileSync(options.output, wav);
  const seconds = (wav.length - 44) / 2 / stream.sampleRate;
  const when = first === undefined ? "no sound" : `first sound after ${Math.round(first)} ms`;
  console.error(`${when}; ${seconds.toFixed(2)} s of speech`);
} catch (error) {
  console.error(`failed: ${error.message}`);
  process.exitCode = 1;
}
