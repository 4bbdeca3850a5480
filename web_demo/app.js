// The page: what happens where, and the keys. One utterance sounds at a time.

import * as compare from "./compare.js";
import { composer, tint, wholeWords } from "./composer.js";
import { tryRealtime } from "./doors.js";
import { language, setLanguage, t, translatePage } from "./i18n.js";
import * as library from "./library.js";
import { openedAudio } from "./player.js";
import * as recent from "./recent.js";
import { hasKey, modelName, readiness, setKey } from "./server.js";
import * as simulator from "./simulator.js";
import { Speech } from "./speech.js";
import { Stage } from "./stage.js";
import * as theme from "./theme.js";
import * as voices from "./voices.js";

const at = (id) => document.getElementById(id);
const box = at("text");

/** The utterance under way, or null. */
let now = null;
/** Text that is not streamed although it stands in the box: it failed, was stopped or is spoken. */
let held = null;

function say(state, words) {
  const status = at("status");
  status.dataset.state = state;
  // Screen readers speak every change, also one to the same words.
  if (status.textContent !== words) status.textContent = words;
}

const stage = new Stage();

/** Opens an utterance; its text follows. */
function open() {
  now?.stop();
  compare.halt();
  simulator.halt();
  held = null;
  const speech = new Speech(voices.find(at("voice").value), changed);
  now = speech;
  stage.follow(speech);
  show();
  say("connecting", t("Connecting…"));
  return speech;
}

function changed(speech) {
  if (speech !== now) return;
  stage.measured(speech);
  if (speech.state === "streaming") {
    say("streaming", speech.finished ? t("Waiting for the first sound…") : t("Listening to the text…"));
  } else if (speech.state === "playing") {
    const held_back = openedAudio()?.context.state === "suspended";
    say("playing", held_back ? t("The browser holds the sound back. Click anywhere to allow it.") : t("Speaking…"));
  } else if (speech.over) {
    ended(speech);
  }
  show();
}

function ended(speech) {
  now = null;
  simulator.halt();
  stage.settle(speech);
  if (speech.samples > 0) recent.add(speech, { again: (text) => { box.value = text; speak(); } });
  if (speech.state === "error") say("error", speech.error);
  else if (speech.state === "stopped") say("stopped", t("Stopped."));
  else if (speech.samples === 0) say("done", t("The server found nothing to say in this text."));
  else say("done", t("Done: {seconds} s of speech.", { seconds: speech.seconds.toFixed(1) }));
  if (speech.state === "done" && at("live").checked) box.value = "";
  held = box.value;
  tint(null);
}

/** Buttons and fields that may be used in the present state. */
function show() {
  const busy = Boolean(now);
  box.readOnly = busy && (now.finished || simulator.running());
  at("speak").disabled = busy && (now.finished || simulator.running());
  at("stop").disabled = !busy;
  at("voice").disabled = busy;
  if (now) tint(now, stage.word);
}

/** Streams what may go of what stands in the box. */
composer.typed = (text, pausing) => {
  if (now?.finished || simulator.running()) return;
  if (!at("live").checked && !now) return tint(null);
  if (!now) {
    if (!text.trim() || (held && text.startsWith(held))) return tint(null);
    open();
  }
  if (!text.startsWith(now.sent)) box.value = now.sent;
  else if (text === "") return stop();
  send(pausing ? text : text.slice(0, wholeWords(text)));
};

/** What was sent is being spoken: it cannot be changed any more. */
composer.locked = () => now?.sent.length ?? 0;
composer.refused = () => say(at("status").dataset.state, t("The tinted words are already on their way. Stop takes them back."));

function send(text) {
  if (text.length > now.sent.length) now.append(text.slice(now.sent.length));
  tint(now, stage.word);
}

/** Whether the server wants a key first; asks for it, then. */
function isLocked() {
  if (at("server").dataset.state !== "locked") return false;
  say("error", at("server").textContent);
  at("key").focus();
  return true;
}

function speak() {
  composer.settle();
  if (now?.finished || simulator.running()) return;
  if (!now && !box.value.trim()) return say("idle", t("There is no text yet."));
  if (!now && isLocked()) return;
  if (!now) open();
  send(box.value);
  now.finish();
}

/** Silence, at once. */
function stop() {
  composer.settle();
  compare.halt();
  simulator.halt();
  now?.stop();
}

// ---- the parts -------------------------------------------------------------------------------

function use(voice) {
  at("voice").value = voice.id;
  localStorage.setItem("mynah-voice", voice.id);
  box.focus();
}

function fillVoices() {
  // Before the server has told its voices, the list cannot hold the one that was chosen last time.
  const chosen = localStorage.getItem("mynah-voice");
  at("voice").replaceChildren(...voices.list().map((voice) => new Option(voices.title(voice), voice.id)));
  at("voice").value = voices.find(chosen).id;
}

voices.onChange(fillVoices);
at("voice").addEventListener("change", () => localStorage.setItem("mynah-voice", at("voice").value));
library.setUp({ use, quiet: stop });
compare.setUp({
  text: () => box.value,
  hush: (keep) => (keep ? now?.stop() : stop()),
  show: () => stage.spectrum(),
});
simulator.setUp({
  text: () => box.value,
  open: () => {
    box.value = "";
    return open();
  },
  type: (token) => {
    if (!now) return;
    box.value += token;
    box.scrollTop = box.scrollHeight;
    now.append(token);
    show();
  },
  finish: () => now?.finish(),
  stop,
});

const tabs = [...document.querySelectorAll("[role=tab]")];

function choose(tab) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    at(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  library.showTrim();
}

tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(i + step + tabs.length) % tabs.length];
    choose(next);
    next.focus();
  });
});

// ---- keys and buttons ------------------------------------------------------------------------

at("talk").addEventListener("submit", (event) => {
  event.preventDefault();
  speak();
});
at("stop").addEventListener("click", stop);
at("help").addEventListener("click", () => at("shortcuts").showModal());
document.addEventListener("click", () => openedAudio()?.context.resume());

document.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const typing = event.target.closest("input:not([type=range],[type=checkbox]), textarea, select");
  if (event.key === "Escape") {
    if (!at("shortcuts").open && !library.escape()) stop();
  } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    speak();
  } else if (event.key === "Enter" && event.target === box && at("live").checked && !event.shiftKey) {
    event.preventDefault();
    speak();
  } else if (event.altKey && /^Digit[1-4]$/.test(event.code)) {
    event.preventDefault();
    const tab = tabs[event.code.at(-1) - 1];
    choose(tab);
    tab.focus();
  } else if (event.altKey && event.code === "KeyD") {
    event.preventDefault();
    if (at("download").href) at("download").click();
  } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    if (event.key === "?") at("shortcuts").showModal();
    else if (event.key === "/") {
      event.preventDefault();
      box.focus();
    }
  }
});

for (const example of document.querySelectorAll(".example")) {
  example.addEventListener("click", () => {
    if (now) return;
    box.value = example.textContent;
    speak();
  });
}

at("live").checked = localStorage.getItem("mynah-live") === "1";
at("live").addEventListener("change", () => {
  localStorage.setItem("mynah-live", at("live").checked ? "1" : "0");
  held = box.value;
  box.focus();
});

theme.setUp(() => stage.repaint());
at("language").addEventListener("click", () => {
  setLanguage(language() === "en" ? "zh" : "en");
  retell();
});

/** Says everything in the language that is chosen now. */
function retell() {
  translatePage();
  theme.relabel();
  fillVoices();
  library.showList(use);
  library.showTrim();
  compare.fill();
  simulator.showAnswers();
  simulator.showRate();
  if (!now) say("idle", t("Ready. Write something, or choose an example."));
}

// ---- the server ------------------------------------------------------------------------------

/** Resolves when the server has a model: whether this page may use it. */
async function watchServer() {
  const line = at("server");
  const words = { loading: "The model is loading…", down: "The server cannot be reached." };
  for (;;) {
    const state = await readiness();
    line.dataset.state = state;
    if (state === "ready") break;
    line.textContent = t(words[state]);
    await new Promise((done) => setTimeout(done, 2000));
  }
  const name = await modelName();
  at("key-row").hidden = name !== null;
  if (name === null) {
    line.dataset.state = "locked";
    const words = t(hasKey() ? "The server does not know this key." : "The server wants a key.");
    line.textContent = words;
    at("key-words").textContent = words;
    return false;
  }
  line.textContent = name;
  await voices.refresh();
  return true;
}

at("key-row").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!setKey(at("key").value)) {
    at("key-words").textContent = t("A key has letters, digits and signs, no spaces or commas.");
    return;
  }
  tryRealtime();
  if (await watchServer()) box.focus();
  else at("key").select();
});

retell();
watchServer();
