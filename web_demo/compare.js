// One sentence in two voices: both are made, then heard one after the other; while one sounds,
// the other can take over at the same place.

import { t } from "./i18n.js";
import { clipPlayer, openAudio, openedAudio } from "./player.js";
import { Speech } from "./speech.js";
import { drawWave } from "./visuals.js";
import * as voices from "./voices.js";

const at = (id) => document.getElementById(id);
const SIDES = ["a", "b"];

/** Per side the Speech that made it, and its samples once complete. */
const made = { a: null, b: null };
let playing = null;
let queue = [];
let quiet;
let picture;
let moving = false;

/** `text()` is what to say; `hush()` stops whatever else sounds; `show(playing)` follows the sound. */
export function setUp({ text, hush, show }) {
  quiet = () => hush();
  voices.onChange(fill);
  at("compare").addEventListener("click", () => {
    if (running()) return halt();
    if (text().trim()) run(text());
    else at("compare-status").textContent = t("Write a sentence into the box first.");
  });
  for (const side of SIDES) {
    at(`play-${side}`).addEventListener("click", () => play(side));
    at(`voice-${side}`).addEventListener("change", () => forget(side));
  }
  at("switch").addEventListener("click", swap);
  picture = show;
}

export const running = () => SIDES.some((side) => made[side] && !made[side].over) || Boolean(playing);

export function fill() {
  for (const side of SIDES) {
    const chosen = at(`voice-${side}`).value;
    at(`voice-${side}`).replaceChildren(...voices.list().map((voice) => new Option(voices.title(voice), voice.id)));
    const first = side === "a" ? 0 : Math.min(1, voices.list().length - 1);
    if (voices.find(chosen).id === chosen) at(`voice-${side}`).value = chosen;
    else at(`voice-${side}`).selectedIndex = first;
  }
  buttons();
}

function forget(side) {
  if (playing?.side === side) silence();
  made[side]?.stop();
  made[side] = null;
  drawWave(at(`wave-${side}`), [], 0);
  at(`facts-${side}`).textContent = "";
  buttons();
}

function run(text) {
  quiet();
  SIDES.forEach(forget);
  at("compare-status").textContent = t("Both voices are being made…");
  queue = [...SIDES];
  // The context has to be opened by the click itself.
  openAudio();
  for (const side of SIDES) {
    const speech = new Speech(voices.find(at(`voice-${side}`).value), () => arrived(side, speech), { silent: true });
    made[side] = speech;
    speech.append(text);
    speech.finish();
  }
  buttons();
}

function arrived(side, speech) {
  if (made[side] !== speech) return;
  const facts = at(`facts-${side}`);
  if (speech.state === "error") {
    facts.textContent = speech.error;
  } else if (speech.firstPacket !== null) {
    facts.textContent = t("{seconds} s, first sound after {ms} ms", {
      seconds: speech.seconds.toFixed(1), ms: Math.round(speech.firstPacket),
    });
  }
  if (speech.state === "done") speech.clip = speech.pcm();
  drawWave(at(`wave-${side}`), speech.peaks, 0);
  if (speech.over && SIDES.every((one) => made[one]?.over)) {
    const good = SIDES.every((one) => made[one].state === "done");
    at("compare-status").textContent = good ? t("Ready: play them, and switch while they sound.") : t("That did not work for both.");
  }
  if (speech.over) next();
  buttons();
}

/** Plays what is to be heard next, if it is there. */
function next() {
  const side = queue[0];
  if (playing || !side || !made[side]?.over) return;
  queue.shift();
  if (made[side].clip) play(side, 0, true);
  else next();
}

function play(side, part = 0, following = false) {
  if (!following) {
    queue = [];
    if (playing?.side === side && part === 0) return silence();
    quiet(true);
  }
  playing?.player.stop();
  const { clip } = made[side];
  const player = clipPlayer(openedAudio(), clip, Math.round(part * clip.length), () => {
    playing = null;
    buttons();
    next();
  });
  playing = { side, player };
  if (!moving) frame(null);
  buttons();
}

/** The other voice goes on where this one is. */
function swap() {
  if (!playing) return;
  const { side, player } = playing;
  const other = side === "a" ? "b" : "a";
  if (!made[other]?.clip) return;
  queue = [];
  const part = player.played() / made[side].clip.length;
  player.stop();
  playing = null;
  play(other, Math.min(0.999, part), true);
}

function silence() {
  playing?.player.stop();
  playing = null;
  buttons();
}

/** Falls silent at once. */
export function halt() {
  queue = [];
  for (const side of SIDES) {
    if (!made[side] || made[side].over) continue;
    made[side].stop();
    at("compare-status").textContent = t("Stopped.");
  }
  silence();
}

function buttons() {
  at("compare").textContent = running() ? t("Stop") : t("Speak in both voices");
  at("switch").disabled = !playing || !SIDES.every((side) => made[side]?.clip);
  for (const side of SIDES) {
    const sounds = playing?.side === side;
    at(`play-${side}`).disabled = !made[side]?.clip;
    at(`play-${side}`).setAttribute("aria-pressed", sounds);
    at(`play-${side}`).textContent = sounds ? t("Stop") : t("Play");
    at(`card-${side}`).dataset.sounds = sounds;
  }
}

/** Draws while one of them sounds; `shown` is the side drawn last. */
function frame(shown) {
  const side = playing?.side ?? null;
  if (shown && shown !== side) drawWave(at(`wave-${shown}`), made[shown]?.peaks ?? [], 0);
  moving = side !== null;
  if (!moving) return;
  drawWave(at(`wave-${side}`), made[side].peaks, playing.player.played());
  picture();
  requestAnimationFrame(() => frame(side));
}
