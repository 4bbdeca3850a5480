// The "Voices" panel: the list, and making a new voice from the microphone or a file.

import { language, t } from "./i18n.js";
import { clipPlayer, openAudio, RATE } from "./player.js";
import { canRecord, checked, decodeFile, LONGEST, Recorder, speechSpan } from "./recorder.js";
import { drawWave } from "./visuals.js";
import * as voices from "./voices.js";
import { addPeaks, barOf, resampled, toInt16, wavFile } from "./wav.js";

const at = (id) => document.getElementById(id);

/** What to read aloud; it becomes the transcript. */
const TO_READ = "The old man walked slowly across the bridge, and the evening light was warm on the water.";

let recorder = null;
/** The recording being trimmed: {samples, rate, peaks}. */
let take = null;
let preview = null;

/** `use(voice)` chooses a voice for speaking; `quiet()` stops whatever sounds. */
export function setUp({ use, quiet }) {
  voices.onChange(() => showList(use));
  at("record").addEventListener("click", () => (recorder ? stopRecording() : startRecording(quiet)));
  at("take-file").addEventListener("change", fromFile);
  for (const id of ["trim-from", "trim-to"]) at(id).addEventListener("input", () => trimmed(id));
  at("take-listen").addEventListener("click", listen);
  at("take-discard").addEventListener("click", discard);
  at("take").addEventListener("submit", (event) => {
    event.preventDefault();
    save(use);
  });
  if (!canRecord()) {
    at("record").disabled = true;
    say(t("Browsers give the microphone only to https pages and localhost. A file will do."));
  }
}

/** Escape while recording ends the recording; true if there was one. */
export function escape() {
  if (preview) return endPreview() ?? true;
  if (!recorder) return false;
  stopRecording();
  return true;
}

function say(words, bad = false) {
  at("take-status").textContent = words;
  at("take-status").dataset.bad = bad;
}

/** The list, and what else of the panel depends on the language. */
export function showList(use) {
  at("to-read").textContent = t(TO_READ);
  at("to-read").lang = language();
  if (recorder) at("record").textContent = t("Stop recording");
  const rows = voices.list().map((voice) => {
    const row = at("voice-row").content.cloneNode(true);
    row.querySelector(".voice-name").textContent = voices.title(voice);
    row.querySelector(".voice-said").textContent = voice.transcript ?? "";
    const choose = row.querySelector(".use");
    choose.textContent = t("Use");
    choose.setAttribute("aria-label", t("Speak with {name}", { name: voices.title(voice) }));
    choose.onclick = () => use(voice);
    const remove = row.querySelector(".remove");
    remove.textContent = t("Delete");
    remove.setAttribute("aria-label", t("Delete {name}", { name: voices.title(voice) }));
    remove.hidden = Boolean(voice.fixed);
    remove.onclick = () => {
      if (!confirm(t("Delete the voice “{name}”?", { name: voice.name }))) return;
      voices.remove(voice).catch((error) => say(error.message, true));
    };
    return row;
  });
  at("voice-list").replaceChildren(...rows);
  const kept = voices.isShared()
    ? t("Saved voices are kept on the server.")
    : t("This server keeps no voices: recordings stay in this browser and are sent when they speak.");
  at("where-kept").textContent = voices.isShared() === null ? "" : kept;
}

async function startRecording(quiet) {
  quiet();
  endPreview();
  at("trim").hidden = true;
  take = null;
  const made = new Recorder(showLevel, stopRecording);
  recorder = made;
  at("record").setAttribute("aria-pressed", "true");
  at("record").textContent = t("Stop recording");
  say(t("Recording. Read the sentence aloud."));
  try {
    await made.start();
  } catch (error) {
    recorder = null;
    await made.stop();
    resetButton();
    const denied = error.name === "NotAllowedError";
    say(denied ? t("The microphone was not allowed.") : t("No microphone: {why}", { why: error.message }), true);
  }
}

function showLevel(level, seconds) {
  at("level").firstElementChild.style.transform = `scaleX(${level})`;
  at("level").setAttribute("aria-valuenow", Math.round(100 * level));
  at("take-time").textContent = `${seconds.toFixed(1)} / ${LONGEST} s`;
}

function resetButton() {
  at("record").setAttribute("aria-pressed", "false");
  at("record").textContent = t("Record");
  showLevel(0, 0);
  at("take-time").textContent = "";
}

async function stopRecording() {
  const made = recorder;
  if (!made) return;
  recorder = null;
  const sound = await made.stop();
  resetButton();
  if (sound.samples.length === 0) return say(t("Nothing was recorded."), true);
  if (!at("take-text").value.trim()) at("take-text").value = t(TO_READ);
  open(sound);
}

async function fromFile() {
  const file = at("take-file").files[0];
  if (!file) return;
  try {
    const sound = await decodeFile(file);
    if (!at("take-name").value) at("take-name").value = file.name.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 64);
    open(sound);
  } catch {
    say(t("This browser cannot read that file as sound."), true);
  }
}

function open(sound) {
  take = { ...sound, peaks: [] };
  addPeaks(take.peaks, sound.samples, 0, barOf(sound.rate));
  const whole = sound.samples.length / sound.rate;
  const span = speechSpan(sound);
  for (const id of ["trim-from", "trim-to"]) at(id).max = whole.toFixed(2);
  at("trim-from").value = span.from;
  at("trim-to").value = Math.min(span.to, span.from + LONGEST);
  at("trim").hidden = false;
  showTrim();
}

function span() {
  return { from: +at("trim-from").value, to: +at("trim-to").value };
}

function trimmed(which) {
  const { from, to } = span();
  if (from > to) at(which === "trim-from" ? "trim-to" : "trim-from").value = which === "trim-from" ? from : to;
  endPreview();
  showTrim();
}

function cut() {
  const { from, to } = span();
  return take.samples.subarray(Math.round(from * take.rate), Math.round(to * take.rate));
}

/** Draws the recording and says what is to be said of what is left of it. */
export function showTrim() {
  if (!take || at("trim").hidden) return;
  const { from, to } = span();
  const whole = take.samples.length / take.rate;
  for (const id of ["trim-from", "trim-to"]) at(id).setAttribute("aria-valuetext", `${(+at(id).value).toFixed(1)} s`);
  drawWave(at("take-wave"), take.peaks, 0, take.rate);
  at("trim-left").style.width = `${(100 * from) / whole}%`;
  at("trim-right").style.width = `${100 - (100 * to) / whole}%`;
  const check = checked(cut(), take.rate);
  say(t(check.words, check.values), !check.good);
  at("take-save").disabled = !check.good;
}

async function mono24() {
  return toInt16(await resampled(cut(), take.rate, RATE));
}

function endPreview() {
  preview?.stop();
  preview = null;
  at("take-listen").textContent = t("Listen");
}

async function listen() {
  if (preview) return endPreview();
  const [audio, samples] = await Promise.all([openAudio(), mono24()]);
  preview = clipPlayer(audio, samples, 0, endPreview);
  at("take-listen").textContent = t("Stop");
}

function discard() {
  endPreview();
  take = null;
  at("trim").hidden = true;
  at("take-text").value = "";
  at("take-name").value = "";
  at("take-file").value = "";
  say("");
}

async function save(use) {
  if (!take) return;
  const name = at("take-name").value.trim();
  const transcript = at("take-text").value.trim();
  if (!transcript) return say(t("Write down what is said in it, word for word."), true);
  if (!at("take-consent").checked) return say(t("Please confirm that you may use this voice."), true);
  at("take-save").disabled = true;
  try {
    const wav = wavFile([await mono24()], RATE);
    const voice = await voices.save(name, transcript, wav);
    discard();
    use(voice);
    say(t("Saved. It is chosen for speaking now."));
  } catch (error) {
    at("take-save").disabled = false;
    say(error.message, true);
  }
}
