// The demo page: one utterance at a time over /inference_zero_shot_bistream. Whole words leave as
// they are typed; sound plays as it comes.

const RATE = 24000;
/** Characters per text frame; the server's limit is 1000 by default. */
const FRAME_CHARS = 500;
/** Bytes per frame of an uploaded recording. */
const UPLOAD_BYTES = 256 * 1024;
/** Samples per bar of the wave. */
const BAR = RATE / 50;
/** Utterances that can be heard again. */
const KEPT = 5;

const at = (id) => document.getElementById(id);
const box = at("text");

// ---- sound ---------------------------------------------------------------------------------

let audio;

/** The page's one AudioContext, at the rate the server is asked for. Call it from a user's act. */
async function openAudio() {
  if (!audio) {
    const context = new AudioContext({ sampleRate: RATE });
    // Browsers offer worklets only to https pages and localhost.
    const loaded = context.audioWorklet?.addModule(new URL("worklet.js", import.meta.url));
    audio = { context, ready: Promise.resolve(loaded) };
  }
  // Not awaited: a browser that wants a click first resolves this only then.
  audio.context.resume();
  await audio.ready;
  return audio.context;
}

/** Plays one utterance in the audio thread. `report({played, gaps, drained, full})`. */
function workletPlayer(context, report) {
  const node = new AudioWorkletNode(context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
  node.port.onmessage = ({ data }) => report(data);
  node.connect(context.destination);
  return {
    push: (samples) => node.port.postMessage({ samples }),
    textSent: () => node.port.postMessage({ textSent: true }),
    end: () => node.port.postMessage({ ended: true }),
    stop: () => {
      node.port.postMessage({ stopped: true });
      node.disconnect();
    },
  };
}

/** The same from scheduled buffers, for pages without worklets (plain http from another machine). */
function scheduledPlayer(context, report) {
  const out = context.createGain();
  out.connect(context.destination);
  let scheduled = 0;
  let until = 0;
  let gaps = 0;
  let sent = false;
  let ended = false;
  const timer = setInterval(() => {
    const left = Math.max(0, until - context.currentTime);
    const drained = ended && left === 0;
    report({ played: Math.max(0, scheduled - Math.round(left * RATE)), gaps, drained });
    if (drained) clearInterval(timer);
  }, 100);
  return {
    push: (samples) => {
      const buffer = context.createBuffer(1, samples.length, RATE);
      const channel = buffer.getChannelData(0);
      samples.forEach((sample, i) => (channel[i] = sample / 32768));
      if (sent && scheduled > 0 && until < context.currentTime) gaps += 1;
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(out);
      until = Math.max(until, context.currentTime + 0.02);
      source.start(until);
      until += samples.length / RATE;
      scheduled += samples.length;
    },
    textSent: () => (sent = true),
    end: () => (ended = true),
    stop: () => {
      clearInterval(timer);
      out.disconnect();
    },
  };
}

/** A WAV file of 16-bit samples. */
function wavFile(chunks) {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (offset, word) => [...word].forEach((c, i) => header.setUint8(offset + i, c.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, RATE, true);
  header.setUint32(28, 2 * RATE, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, bytes, true);
  return new Blob([header, ...chunks], { type: "audio/wav" });
}

// ---- one utterance ---------------------------------------------------------------------------

/** What a close code means where the server sent no words of its own. */
const CLOSE_WORDS = {
  1003: "The recording could not be used as a voice.",
  1007: "The server did not understand the page.",
  1008: "The server's limits were reached.",
  1009: "That was too large for the server.",
  1011: "The server failed to make this speech.",
  1013: "The server is busy or shutting down. Try again in a moment.",
};

/**
 * A stream to the server. Calls `on.sound(Int16Array)`, then once `on.closed(error)` with words or
 * null; neither after `cancel`.
 */
class Stream {
  constructor(voice, on) {
    this.on = on;
    /** Frames made before the socket is open. */
    this.waiting = [];
    this.firstText = null;
    this.firstSound = null;
    this.error = null;
    const url = new URL("/inference_zero_shot_bistream", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.opened();
    this.socket.onmessage = ({ data }) => this.received(data);
    this.socket.onclose = (event) => this.closed(event);
    this.start = { tts_model_name: "default", sample_rate: RATE };
    if (voice.recording) this.start.prompt_text = voice.transcript;
    else this.start.voice = "default";
    this.recording = voice.recording;
  }

  opened() {
    this.socket.send(JSON.stringify(this.start));
    for (let from = 0; from < (this.recording?.byteLength ?? 0); from += UPLOAD_BYTES) {
      this.socket.send(this.recording.slice(from, from + UPLOAD_BYTES));
    }
    for (const frame of this.waiting.splice(0)) this.send(frame);
  }

  send(frame) {
    if (this.socket.readyState === WebSocket.CONNECTING) {
      this.waiting.push(frame);
    } else if (this.socket.readyState === WebSocket.OPEN) {
      if (frame.tts_text) this.firstText ??= performance.now();
      this.socket.send(JSON.stringify(frame));
    }
  }

  text(text) {
    const characters = [...text];
    while (characters.length > 0) {
      this.send({ tts_text: characters.splice(0, FRAME_CHARS).join(""), finish: false });
    }
  }

  finish() {
    this.send({ tts_text: "", finish: true });
  }

  received(data) {
    if (typeof data === "string") {
      const answer = JSON.parse(data);
      if (answer.error_code) {
        const detail = answer.detail && answer.detail !== answer.message ? ` (${answer.detail})` : "";
        this.error = `${answer.message}${detail}`;
      }
    } else if (data.byteLength > 1) {
      this.firstSound ??= performance.now();
      this.on.sound(new Int16Array(data, 0, data.byteLength >> 1));
    }
  }

  async closed({ code }) {
    if (this.cancelled) return;
    let error = this.error;
    if (!error && code !== 1000) error = CLOSE_WORDS[code] ?? (await serverWords());
    if (!this.cancelled) this.on.closed(error, code);
  }

  cancel() {
    this.cancelled = true;
    this.socket.close(1000);
  }
}

/** Why a connection broke, as far as the server can still be asked. */
async function serverWords() {
  const state = await askServer();
  if (state === "ready") return "The connection was refused or lost. Try again.";
  return state === "loading" ? "The model is still loading. Try again in a moment." : "The server cannot be reached.";
}

// ---- the page --------------------------------------------------------------------------------

/** The utterance under way, or null. */
let now = null;
/** Text that is not streamed although it stands in the box: it failed or was stopped. */
let held = null;
let composing = false;
let pauseTimer;

function say(state, words) {
  const status = at("status");
  status.dataset.state = state;
  // Screen readers speak every change, also one to the same words.
  if (status.textContent !== words) status.textContent = words;
}

const seconds = (samples) => `${(samples / RATE).toFixed(1)} s`;

/** How much of `text` is whole words: all up to the last space, or sign that stands for a word. */
function wholeWords(text) {
  const words = /^[^]*[\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u3001-\u301f\uff00-\uff65]/u;
  return text.match(words)?.[0].length ?? 0;
}

function voiceOf(recording) {
  const transcript = at("prompt-text").value.trim();
  return recording ? { recording, transcript } : {};
}

/** Opens an utterance for the text in the box. The socket opens as soon as the voice is read. */
function begin() {
  const own = document.querySelector("input[name=voice]:checked").value === "prompt";
  const file = at("prompt-wav").files[0];
  if (own && (!file || !at("prompt-text").value.trim())) {
    held = box.value;
    say("error", file ? "Write down what is said in the recording." : "Choose a recording first.");
    return false;
  }
  const made = {
    stream: null,
    player: null,
    sent: "",
    finished: false,
    chunks: [],
    samples: 0,
    played: 0,
    gaps: 0,
    peaks: [],
  };
  now = made;
  held = null;
  show();
  say("connecting", "Connecting…");
  connect(made, own ? file : null).catch((error) => fail(made, `This browser cannot do it: ${error.message}`));
  return true;
}

async function connect(made, file) {
  const [context, recording] = await Promise.all([openAudio(), file?.arrayBuffer()]);
  if (now !== made) return;
  const makePlayer = context.audioWorklet ? workletPlayer : scheduledPlayer;
  made.player = makePlayer(context, (report) => progress(made, report));
  made.stream = new Stream(voiceOf(recording), {
    sound: (samples) => heard(made, samples),
    closed: (error, code) => closed(made, error, code),
  });
  say("streaming", "Listening to you type…");
  // What was typed meanwhile.
  const finished = made.finished;
  const text = finished ? box.value : box.value.slice(0, wholeWords(box.value));
  sendUpTo(made, text);
  if (finished) endText(made);
}

function sendUpTo(made, text) {
  if (!made.stream || text.length <= made.sent.length) return;
  made.stream.text(text.slice(made.sent.length));
  made.sent = text;
  tint();
}

/** Marks the words in the box that are on their way. */
function tint() {
  const mark = document.createElement("mark");
  mark.textContent = now?.sent ?? "";
  at("sent").replaceChildren(mark, box.value.slice(mark.textContent.length));
  at("sent").scrollTop = box.scrollTop;
}

function endText(made) {
  made.stream.finish();
  made.player.textSent();
  if (made.samples === 0) say("streaming", "Waiting for the first sound…");
  else say("playing", "Speaking…");
}

/** Streams what may go of what stands in the box. */
function typed() {
  clearTimeout(pauseTimer);
  const text = box.value;
  if (composing || now?.finished) return;
  if (held !== null && text.startsWith(held) && text !== "") return;
  held = null;
  if (!now) {
    if (text.trim()) begin();
    return;
  }
  if (!text.startsWith(now.sent)) {
    // What has been sent is being spoken: put it back.
    box.value = now.sent;
  } else if (text === "") {
    discard();
    return;
  }
  sendUpTo(now, box.value.slice(0, wholeWords(box.value)));
  tint();
  // A sentence left standing is spoken without waiting for the space behind it.
  if (/[.!?…]$/.test(box.value)) {
    pauseTimer = setTimeout(() => now && !now.finished && sendUpTo(now, box.value), 700);
  }
}

function speak() {
  clearTimeout(pauseTimer);
  if (now?.finished) return;
  if (!now && !box.value.trim()) {
    say("idle", "There is no text yet.");
    return;
  }
  if (!now && !begin()) return;
  now.finished = true;
  show();
  if (now.stream) {
    sendUpTo(now, box.value);
    endText(now);
  }
}

function heard(made, samples) {
  if (made !== now) return;
  if (made.samples === 0) {
    const wait = made.stream.firstText === null ? 0 : made.stream.firstSound - made.stream.firstText;
    made.firstPacket = Math.round(wait);
    at("first-packet").textContent = `${made.firstPacket} ms`;
    at("first-packet").dataset.ms = made.firstPacket;
  }
  if (audio.context.state === "suspended") say("playing", "The browser holds the sound back. Click anywhere to allow it.");
  else say("playing", made.finished ? "Speaking…" : "Speaking along…");
  const before = made.samples;
  made.samples += samples.length;
  made.chunks.push(samples);
  samples.forEach((sample, i) => {
    const bar = Math.floor((before + i) / BAR);
    made.peaks[bar] = Math.max(made.peaks[bar] ?? 0, Math.abs(sample) / 32768);
  });
  at("samples").textContent = seconds(made.samples);
  at("samples").dataset.samples = made.samples;
  made.player.push(samples);
  draw(made);
}

function progress(made, report) {
  if (made !== now) return;
  if (report.full) {
    fail(made, "That is more speech than this page can hold.");
    return;
  }
  made.played = report.played;
  made.gaps = report.gaps;
  at("played").textContent = seconds(made.played);
  at("played").dataset.samples = made.played;
  at("underruns").textContent = made.gaps;
  at("underruns").dataset.count = made.gaps;
  draw(made);
  if (report.drained) finished(made);
}

/** The server closed the stream. What came is played to its end. */
function closed(made, error, code) {
  if (made !== now) return;
  if (error && made.sent === "" && code === 1008 && !made.finished) {
    // It grew tired of a first word that never ended. The next key opens another stream.
    discard();
  } else if (error) {
    fail(made, error);
  } else {
    made.player.end();
  }
}

function finished(made) {
  if (made.samples === 0) say("done", "The server found nothing to say in this text.");
  else say("done", `Done: ${seconds(made.samples)} of speech.`);
  keep(made, made.sent);
  release();
  box.value = "";
  tint();
  box.focus();
}

function fail(made, words) {
  if (made !== now) return;
  made.stream?.cancel();
  made.player?.stop();
  release();
  held = box.value;
  tint();
  say("error", words);
}

function stop() {
  if (!now) return;
  clearTimeout(pauseTimer);
  now.stream?.cancel();
  now.player?.stop();
  release();
  held = box.value;
  tint();
  say("stopped", "Stopped. Press Speak to say it again, or write something new.");
}

/** Lets go of an utterance of which nothing was said. */
function discard() {
  now.stream?.cancel();
  now.player?.stop();
  release();
  tint();
  say("idle", "Ready. Start typing.");
}

function release() {
  now = null;
  show();
}

/** Buttons and fields that may be used in the present state. */
function show() {
  box.readOnly = Boolean(now?.finished);
  at("speak").disabled = Boolean(now?.finished);
  at("stop").disabled = !now;
  document.querySelector("#talk fieldset").disabled = Boolean(now);
  if (now && now.samples === 0) {
    for (const id of ["first-packet", "samples", "played", "underruns"]) at(id).textContent = "–";
    delete at("first-packet").dataset.ms;
    at("samples").dataset.samples = 0;
    at("played").dataset.samples = 0;
    at("underruns").dataset.count = 0;
    draw(now);
  }
}

/** One bar for each 20 ms of speech, the newest at the right; what was played is in colour. */
function draw(made) {
  const canvas = at("wave");
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const pen = canvas.getContext("2d");
  const step = 3 * scale;
  const fits = Math.floor(canvas.width / step);
  const first = Math.max(0, made.peaks.length - fits);
  const style = getComputedStyle(document.documentElement);
  const [coming, gone] = [style.getPropertyValue("--line"), style.getPropertyValue("--accent")];
  for (let i = first; i < made.peaks.length; i += 1) {
    const height = Math.max(2 * scale, made.peaks[i] * canvas.height);
    pen.fillStyle = i * BAR < made.played ? gone : coming;
    pen.fillRect((i - first) * step, (canvas.height - height) / 2, 2 * scale, height);
  }
}

function keep(made, text) {
  if (made.samples === 0) return;
  const item = at("item").content.cloneNode(true);
  const link = item.querySelector(".save");
  item.querySelector(".said").textContent = text;
  item.querySelector(".facts").textContent =
    `${seconds(made.samples)} of speech, first sound after ${made.firstPacket} ms, gaps: ${made.gaps}`;
  link.href = URL.createObjectURL(wavFile(made.chunks));
  item.querySelector(".again").onclick = () => {
    if (now) return;
    box.value = text;
    speak();
  };
  at("history").prepend(item);
  at("spoken").hidden = false;
  while (at("history").children.length > KEPT) {
    const oldest = at("history").lastElementChild;
    URL.revokeObjectURL(oldest.querySelector(".save").href);
    oldest.remove();
  }
}

// ---- the server ------------------------------------------------------------------------------

/** `ready`, `loading` or `down`. */
async function askServer() {
  try {
    const answer = await fetch("/readiness", { cache: "no-store" });
    return answer.ok ? "ready" : "loading";
  } catch {
    return "down";
  }
}

async function watchServer() {
  const line = at("server");
  for (;;) {
    const state = await askServer();
    line.dataset.state = state;
    if (state === "ready") break;
    line.textContent = state === "loading" ? "The model is loading…" : "The server cannot be reached.";
    await new Promise((done) => setTimeout(done, 2000));
  }
  line.textContent = "Ready";
  const answer = await fetch("/query_tts_model").then((r) => r.json());
  line.textContent = `${answer.tts_models[0]}, ready`;
}

// ---- events ----------------------------------------------------------------------------------

box.addEventListener("compositionstart", () => (composing = true));
box.addEventListener("compositionend", () => {
  composing = false;
  typed();
});
box.addEventListener("input", typed);
box.addEventListener("beforeinput", (event) => {
  if (!now || now.sent === "") return;
  const deletes = event.inputType.startsWith("delete");
  const from = box.selectionStart - (deletes && box.selectionStart === box.selectionEnd ? 1 : 0);
  const backwards = event.inputType.endsWith("Forward") ? box.selectionStart : from;
  if (backwards < now.sent.length) {
    event.preventDefault();
    say(at("status").dataset.state, "The tinted words are already on their way. Stop takes them back.");
  }
});
box.addEventListener("scroll", () => (at("sent").scrollTop = box.scrollTop));
box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    speak();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) stop();
});
document.addEventListener("click", () => audio?.context.resume());
at("talk").addEventListener("submit", (event) => {
  event.preventDefault();
  speak();
});
at("stop").addEventListener("click", stop);
for (const choice of document.querySelectorAll("input[name=voice]")) {
  choice.addEventListener("change", () => {
    at("prompt").hidden = choice.value !== "prompt";
  });
}
watchServer();
