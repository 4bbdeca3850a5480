// What a program does with OpenAI's client for JavaScript. Prints the client's version at the end.

import assert from "node:assert";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [url, folder] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")).href);
const client = new (OpenAI.OpenAI ?? OpenAI)({ baseURL: url, apiKey: "none", maxRetries: 0 });
const ask = (changes) =>
  client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "Good morning.", ...changes });

// A whole file.
const speech = await ask({});
assert.equal(speech.headers.get("content-type"), "audio/mpeg");
const mp3 = Buffer.from(await speech.arrayBuffer());
assert(mp3[0] === 0xff && mp3.length > 1000, `${mp3.length} bytes`);

// As it is made.
const body = { input: "x".repeat(50), response_format: "pcm" };
const chunks = [];
for await (const chunk of (await ask(body)).body) chunks.push(Buffer.from(chunk));
const pcm = Buffer.concat(chunks);
assert(chunks.length > 5 && pcm.length === 50 * 960, `${chunks.length}, ${pcm.length}`);

// In events.
const text = await (await ask({ ...body, stream_format: "sse" })).text();
const events = text
  .trim()
  .split("\n\n")
  .map((event) => JSON.parse(event.replace("data: ", "")));
const done = events.pop();
assert.equal(done.type, "speech.audio.done");
assert(events.every((event) => event.type === "speech.audio.delta"));
assert(Buffer.concat(events.map((e) => Buffer.from(e.audio, "base64"))).equals(pcm));

// Models and errors.
const models = await client.models.list();
assert.equal((await client.models.retrieve(models.data[0].id)).id, models.data[0].id);
await assert.rejects(ask({ voice: "nobody" }), (e) => e.status === 404 && e.code === "not_found");
await assert.rejects(ask({ model: "tts-9" }), (e) => e.status === 400 && e.requestID !== undefined);

const own = JSON.parse(readFileSync(`${folder}/node_modules/openai/package.json`));
console.log("openai", own.version);
