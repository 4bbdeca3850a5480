// The client against a real server.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, before, describe, it } from "node:test";
import * as lib from "@light-tts/client";
import { idle, prompt, serve, serveWith, skip } from "./server.mjs";

const TEXT = "Good morning and welcome to the show.";
const LONG = Array(8).fill(TEXT).join(" ");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
const bytes = (chunks) => chunks.reduce((sum, chunk) => sum + chunk.length, 0);

async function* tokens(text, pause = 20) {
  for (const word of text.split(" ")) {
    yield `${word} `;
    await sleep(pause);
  }
}

describe("a client", { skip }, () => {
  let server, client;
  before(async () => {
    server = await serve();
    client = new lib.LightTTSClient({ baseUrl: `${server.url}/`, timeout: 30000 });
    await client.waitUntilReady();
  });
  after(() => server.stop());

  it("speaks a whole text in the voice of a recording", async () => {
    const wav = await client.synthesize({ text: TEXT, ...prompt() });
    assert.equal(Buffer.from(wav.subarray(0, 4)).toString(), "RIFF");
    assert.ok(wav.length > 24000);
  });

  it("takes recordings as Buffer, ArrayBuffer and Blob", async () => {
    const { promptText, referenceAudio } = prompt();
    const blob = new Blob([referenceAudio]);
    const made = [];
    for (const source of [referenceAudio, await blob.arrayBuffer(), blob]) {
      made.push(await client.synthesize({ text: "Hi.", promptText, referenceAudio: source, seed: 1 }));
    }
    assert.deepEqual(made[0], made[1]);
    assert.deepEqual(made[0], made[2]);
  });

  it("knows voices by name, and options", async () => {
    const plain = await client.synthesize({ text: TEXT, voice: "default", seed: 7 });
    const options = { text: TEXT, voice: "default", seed: 7, speed: 1.5, sampleRate: 16000 };
    const fast = Buffer.from(await client.synthesize(options));
    assert.equal(fast.readUInt32LE(24), 16000);
    assert.ok((fast.length - 44) / 16000 < (0.8 * plain.length) / 24000);
    const pcm = await client.synthesize({ text: TEXT, voice: "default", seed: 7, responseFormat: "pcm" });
    assert.deepEqual(lib.pcmToWav(pcm), plain);
  });

  it("streams", async () => {
    const stream = await client.synthesizeStream({ text: LONG, ...prompt() });
    assert.equal(stream.sampleRate, 24000);
    assert.ok(stream.requestId);
    const chunks = await collect(stream);
    assert.ok(chunks.length > 2 && chunks.every((chunk) => chunk.length % 2 === 0));
    assert.ok(bytes(chunks) > 3 * 48000);
  });

  it("ends the session of a stream that is left", async () => {
    for await (const _ of await client.synthesizeStream({ text: LONG, voice: "default" })) break;
    assert.ok(await idle(server.url));
    const stream = await client.synthesizeStream({ text: LONG, voice: "default" });
    stream.close();
    assert.ok(await idle(server.url));
  });

  it("can be aborted", async () => {
    for (const speak of [
      (signal) => client.synthesize({ text: LONG, voice: "default", signal }),
      async (signal) => collect(await client.synthesizeStream({ text: LONG, voice: "default", signal })),
      (signal) => collect(client.synthesizeBistream(tokens(LONG), { voice: "default", signal })),
    ]) {
      const controller = new AbortController();
      const speaking = speak(controller.signal);
      setTimeout(() => controller.abort(), 150);
      await assert.rejects(speaking, { name: "AbortError" });
      assert.ok(await idle(server.url));
    }
  });

  it("speaks text by hand, with events", async () => {
    const events = [];
    const onEvent = (event) => events.push(event);
    const stream = await client.bistream({ ...prompt(), sampleRate: 16000, onEvent });
    for (const word of TEXT.split(" ")) stream.send(`${word} `);
    stream.finish();
    assert.ok(bytes(await collect(stream)) / 2 / 16000 > 0.5);
    assert.equal(events[0].event, "audio_start");
    assert.equal(events.at(-1).event, "done");
    assert.equal(stream.sampleRate, 16000);
    assert.throws(() => stream.send("more"), lib.ConnectionFailedError);
  });

  it("sounds while it is fed", async () => {
    const words = LONG.split(" ");
    let hear;
    const heard = new Promise((done) => (hear = done));
    const said = [];
    async function* spoken() {
      for (const word of words) {
        // The end is not said before the beginning was heard.
        if (said.length === words.length - 5) await heard;
        said.push(word);
        yield `${word} `;
      }
    }
    for await (const _ of client.synthesizeBistream(spoken(), { voice: "default" })) hear();
    assert.deepEqual(said, words);
  });

  it("takes arrays, nothing, and pieces longer than a frame", async () => {
    assert.ok(bytes(await collect(client.synthesizeBistream(["Hello ", "there."], { voice: "default" }))) > 10000);
    assert.deepEqual(await collect(client.synthesizeBistream([], { voice: "default" })), []);
    const stream = await client.bistream({ voice: "default" });
    stream.send("A bird. ".repeat(150));
    for await (const chunk of stream) {
      assert.ok(chunk.length > 0);
      break;
    }
    assert.ok(await idle(server.url));
  });

  it("speaks several at once", async () => {
    const one = (i) => collect(client.synthesizeBistream(tokens(`Good morning, number ${i}.`), { voice: "default" }));
    const all = await Promise.all([0, 1, 2, 3].map(one));
    assert.ok(all.every((chunks) => bytes(chunks) > 10000));
  });

  for (const [options, kind, errorCode, status] of [
    [{ text: "Hi." }, "InvalidParameterError", "INVALID_PARAMETER", 400],
    [{ text: "Hi.", voice: "nobody" }, "NotFoundError", "NOT_FOUND", 404],
    [{ text: "x".repeat(1001), voice: "default" }, "TextTooLongError", "TEXT_TOO_LONG", 422],
    [{ text: "Hi.", voice: "default", speed: 9 }, "ValidationError", "VALIDATION_FAILED", 422],
    [
      { text: "Hi.", promptText: "x", referenceAudio: Buffer.from("no wav") },
      "UnsupportedAudioError",
      "UNSUPPORTED_AUDIO",
      400,
    ],
  ]) {
    it(`throws ${kind}`, async () => {
      for (const speak of [() => client.synthesize(options)].concat(
        options.speed ? [] : [() => client.synthesizeStream(options)],
      )) {
        const error = await speak().then(assert.fail, (error) => error);
        assert.ok(error instanceof lib[kind], String(error));
        assert.equal(error.name, kind);
        assert.deepEqual([error.errorCode, error.status, error.retryable], [errorCode, status, false]);
        assert.ok(error.requestId && error.message.includes(errorCode));
      }
    });
  }

  it("throws what a WebSocket was told", async () => {
    const speaking = collect(client.synthesizeBistream(tokens(LONG), { voice: "nobody" }));
    const error = await speaking.then(assert.fail, (error) => error);
    assert.ok(error instanceof lib.NotFoundError, String(error));
    assert.equal(error.closeCode, 1007);
    const bad = { promptText: "x", referenceAudio: Buffer.from("no wav") };
    await assert.rejects(collect(client.synthesizeBistream(["Hi."], bad)), lib.UnsupportedAudioError);
  });

  it("throws what the source of the text threw", async () => {
    async function* dying() {
      yield "Hello there. ";
      throw new RangeError("the model died");
    }
    await assert.rejects(collect(client.synthesizeBistream(dying(), { voice: "default" })), RangeError);
    assert.ok(await idle(server.url));
  });

  it("lists models", async () => assert.ok((await client.models()).length > 0));

  it("lists voices that can be used", async () => {
    const voices = await client.voices();
    assert.ok(voices.includes("default"), String(voices));
    for (const voice of voices) assert.ok((await client.synthesize({ text: "Hi.", voice })).length > 44);
  });

  it("says when nobody answers", async () => {
    const lost = new lib.LightTTSClient({ baseUrl: "http://127.0.0.1:9" });
    assert.equal(await lost.ready(), false);
    await assert.rejects(lost.synthesize({ text: "Hi." }), lib.ConnectionFailedError);
    await assert.rejects(lost.bistream({ voice: "default" }), lib.ConnectionFailedError);
    await assert.rejects(lost.waitUntilReady(10), lib.RequestTimeoutError);
    const hasty = new lib.LightTTSClient({ baseUrl: server.url, timeout: 1 });
    await assert.rejects(hasty.synthesize({ text: LONG, voice: "default" }), lib.RequestTimeoutError);
    assert.throws(() => new lib.LightTTSClient({ baseUrl: "localhost" }), TypeError);
  });

  it("can be required", async () => {
    const { LightTTSClient } = createRequire(import.meta.url)("@light-tts/client");
    const required = new LightTTSClient({ baseUrl: server.url });
    assert.ok(bytes(await collect(required.synthesizeBistream(["Hi."], { voice: "default" }))) > 0);
  });
});

describe("a client that is turned away", () => {
  it("waits for as long as it is told", async () => {
    // A stand-in for a server that is busy twice: the real one cannot be told when to be.
    const asked = [];
    const busy = createServer((_, response) => {
      asked.push(Date.now());
      const refused = asked.length < 3;
      response.writeHead(refused ? 503 : 200, { "retry-after": "1" });
      response.end(refused ? '{"error_code":"OVERLOADED"}' : '{"tts_models":["one"]}');
    });
    await new Promise((done) => busy.listen(0, "127.0.0.1", done));
    try {
      const baseUrl = `http://127.0.0.1:${busy.address().port}`;
      assert.deepEqual(await new lib.LightTTSClient({ baseUrl }).models(), ["one"]);
      assert.ok(asked.length === 3 && asked[2] - asked[0] >= 1990);
      asked.length = 0;
      for (const hasty of [{ maxRetries: 0 }, { maxRetryWait: 500 }]) {
        const client = new lib.LightTTSClient({ baseUrl, ...hasty });
        const error = await client.models().then(assert.fail, (error) => error);
        assert.ok(error instanceof lib.ServiceUnavailableError && error.retryable, String(error));
        assert.equal(error.retryAfter, 1);
      }
      assert.equal(asked.length, 2);
    } finally {
      busy.closeAllConnections();
      busy.close();
    }
  });

  it("is told how long to wait", { skip }, async () => {
    const server = await serve("--rate-limit", "1/minute", "--rate-limit-loopback");
    try {
      const client = new lib.LightTTSClient({ baseUrl: server.url, maxRetries: 0 });
      await client.waitUntilReady();
      await client.synthesize({ text: "Hi.", voice: "default" });
      const again = client.synthesize({ text: "Hi.", voice: "default" });
      const error = await again.then(assert.fail, (error) => error);
      assert.ok(error instanceof lib.RateLimitedError && error.retryAfter >= 1, String(error));
    } finally {
      await server.stop();
    }
  });

  it("shows its key over HTTP and WebSocket", async () => {
    const server = await serveWith({ MYNAH_API_KEYS: "the-key-of-these-tests" });
    try {
      const voice = "default";
      const known = new lib.LightTTSClient({ baseUrl: server.url, apiKey: "the-key-of-these-tests" });
      await known.waitUntilReady();
      assert.ok((await known.voices()).includes(voice));
      assert.ok((await known.synthesize({ text: "Hi.", voice })).length > 44);
      assert.ok(bytes(await collect(known.synthesizeBistream(["Hi."], { voice }))) > 0);
      for (const apiKey of [undefined, "another"]) {
        const stranger = new lib.LightTTSClient({ baseUrl: server.url, apiKey });
        for (const ask of [() => stranger.voices(), () => stranger.synthesize({ text: "Hi.", voice })]) {
          const error = await ask().then(assert.fail, (error) => error);
          assert.ok(error instanceof lib.AuthenticationError, String(error));
          assert.deepEqual([error.errorCode, error.status], ["UNAUTHORIZED", 401]);
        }
        // A WebSocket does not tell why it was not opened.
        await assert.rejects(collect(stranger.synthesizeBistream(["Hi."], { voice })), lib.LightTTSError);
      }
    } finally {
      await server.stop();
    }
  });
});
