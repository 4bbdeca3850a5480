// The two ways to speak with the server. Both take text as it comes and give sound as it is made;
// the realtime door also tells when each word is spoken. A door calls
//   on.sound(Int16Array)  on.words([{from, to, start, end}])  on.info({…})
// and at last once on.closed(error), with words or null; nothing after cancel().

import { t } from "./i18n.js";
import { RATE } from "./player.js";
import { keyQuery } from "./server.js";

/** Characters per text frame; the server's limit is 1000 by default. */
const FRAME_CHARS = 500;
/** Bytes per frame of an uploaded recording. */
const UPLOAD_BYTES = 256 * 1024;

/** What a close code means where the server sent no words of its own. */
const CLOSE_WORDS = {
  1003: "The recording could not be used as a voice.",
  1007: "The server did not understand the page.",
  1008: "The server's limits were reached.",
  1009: "That was too large for the server.",
  1011: "The server failed to make this speech.",
  1013: "The server is busy. Try again in a moment.",
};

/** Off once this server turned out to have no realtime door. */
let realtime = true;

/** After a change of the key: a door that was locked is not missing. */
export const tryRealtime = () => (realtime = true);

function frames(text) {
  const characters = [...text];
  const made = [];
  while (characters.length > 0) made.push(characters.splice(0, FRAME_CHARS).join(""));
  return made;
}

class Door {
  constructor(path, on) {
    this.on = on;
    this.waiting = [];
    this.opened = false;
    this.heard = false;
    this.error = null;
    const url = new URL(path + keyQuery(), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.opened = true;
      this.greet();
      for (const frame of this.waiting.splice(0)) this.socket.send(frame);
    };
    this.socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.told(JSON.parse(data));
      else if (data.byteLength > 1) {
        this.heard = true;
        on.sound(new Int16Array(data, 0, data.byteLength >> 1));
      }
    };
    this.socket.onclose = ({ code }) => this.end(code);
  }

  json(frame) {
    const text = JSON.stringify(frame);
    if (this.opened) {
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send(text);
    } else this.waiting.push(text);
  }

  fail(frame) {
    const detail = frame.detail && frame.detail !== frame.message ? ` (${frame.detail})` : "";
    this.error = `${frame.message ?? frame.error_code}${detail}`;
  }

  end(code) {
    if (this.ended) return;
    this.ended = true;
    let error = this.error;
    if (!error && code !== 1000) {
      error = t(CLOSE_WORDS[code] ?? "The connection was refused or lost. Try again.");
    }
    this.on.closed(error);
  }

  cancel() {
    this.ended = true;
    this.socket.onmessage = null;
    this.socket.close(1000);
  }
}

/** `/inference_zero_shot_bistream`: also with a recording that the server does not know. */
class Bistream extends Door {
  constructor(voice, on) {
    super("/inference_zero_shot_bistream", on);
    this.voice = voice;
  }

  greet() {
    const { recording, transcript, name } = this.voice;
    const start = { tts_model_name: "default", sample_rate: RATE, events: true };
    this.socket.send(JSON.stringify(recording ? { ...start, prompt_text: transcript } : { ...start, voice: name }));
    for (let from = 0; from < (recording?.byteLength ?? 0); from += UPLOAD_BYTES) {
      this.socket.send(recording.slice(from, from + UPLOAD_BYTES));
    }
  }

  text(text) {
    for (const tts_text of frames(text)) this.json({ tts_text, finish: false });
  }

  finish() {
    this.json({ tts_text: "", finish: true });
  }

  told(frame) {
    if (frame.error_code) this.fail(frame);
    else this.on.info(frame);
  }
}

/** `/v1/realtime/speech`: one context of it, with the times of the words. */
class Realtime extends Door {
  constructor(voice, on) {
    super("/v1/realtime/speech", on);
    this.voice = voice;
    this.context_id = "demo";
    /** Where each character of the text begins, in the units of JavaScript's strings. */
    this.places = [0];
  }

  greet() {
    this.socket.send(JSON.stringify({
      type: "start",
      context_id: this.context_id,
      voice: this.voice.name,
      format: "pcm",
      sample_rate: RATE,
      timestamps: true,
    }));
  }

  text(text) {
    for (const character of text) this.places.push(this.places.at(-1) + character.length);
    for (const part of frames(text)) this.json({ type: "text", context_id: this.context_id, text: part });
  }

  finish() {
    this.json({ type: "close_context", context_id: this.context_id });
  }

  told(frame) {
    const kind = frame.type ?? frame.event;
    if (kind === "error" || frame.error_code) {
      this.fail(frame);
      this.socket.close(1000);
      this.end(1000);
    } else if (kind === "words") {
      const place = (index) => this.places[Math.min(index, this.places.length - 1)];
      this.on.words((frame.words ?? []).map((word) => ({ ...word, from: place(word.from), to: place(word.to) })));
    } else if (kind === "done") {
      this.on.info({ ...frame, event: "done" });
      this.socket.close(1000);
      this.end(1000);
    } else if (kind === "audio_start") {
      this.on.info({ ...frame, event: kind });
    }
  }
}

/** The best door for a voice. Where the realtime one fails before any sound, the other takes over. */
export function openDoor(voice, on) {
  if (voice.recording || !realtime) return new Bistream(voice, on);
  const log = [];
  let finished = false;
  let door = new Realtime(voice, {
    ...on,
    closed: (error) => {
      if (!error || door.heard) return on.closed(error);
      if (!door.opened) realtime = false;
      door = new Bistream(voice, on);
      for (const text of log.splice(0)) door.text(text);
      if (finished) door.finish();
    },
  });
  return {
    text: (text) => {
      log.push(text);
      door.text(text);
    },
    finish: () => {
      finished = true;
      door.finish();
    },
    cancel: () => door.cancel(),
  };
}
