// The voice library: those the server knows, and recordings kept in this browser where the server
// keeps none. A voice is {id, name, where: "server"|"browser", transcript?, wav?: Blob}.

import { t } from "./i18n.js";
import { ask, wordsOf } from "./server.js";
import * as store from "./store.js";

/** Names the server accepts. */
export const NAME = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$/;

const BUILT_IN = { id: "server:default", name: "default", where: "server", fixed: true };

let voices = [BUILT_IN];
/** Whether the server has a library of its own; null while that is not known. */
let shared = null;
const listeners = [];

export const list = () => voices;
export const isShared = () => shared;
export const find = (id) => voices.find((voice) => voice.id === id) ?? voices[0];
export const onChange = (listener) => listeners.push(listener);

/** What a voice is called on the page. */
export function title(voice) {
  if (voice.name === "default") return t("Built-in voice");
  return voice.where === "browser" ? t("{name} (this browser)", { name: voice.name }) : voice.name;
}

/** The voices in an answer: `{data: [{name, bundled}]}`, or names alone. */
function voicesIn(body) {
  const rows = body.data ?? body.voices ?? [];
  return rows.map((row) => (typeof row === "string" ? { name: row } : row))
    .filter(({ name }) => typeof name === "string" && name !== BUILT_IN.name)
    .map(({ name, bundled }) => ({ id: `server:${name}`, name, where: "server", fixed: Boolean(bundled) }));
}

async function onServer() {
  try {
    const answer = await ask("/v1/audio/voices");
    shared = answer.status === 401 ? null : answer.ok;
    return answer.ok ? voicesIn(await answer.json()) : [];
  } catch {
    return [];
  }
}

export async function refresh() {
  const [known, kept] = await Promise.all([onServer(), store.all().catch(() => [])]);
  voices = [
    BUILT_IN,
    ...known,
    ...kept.map((voice) => ({ id: `browser:${voice.name}`, where: "browser", ...voice })),
  ];
  for (const listener of listeners) listener(voices);
}

/** Saves a recording; resolves to the voice. Throws an Error with words for the reader. */
export async function save(name, transcript, wav) {
  if (!NAME.test(name)) throw new Error(t("A name is made of letters a to z, digits, hyphens and dots."));
  if (find(`server:${name}`).name === name || find(`browser:${name}`).name === name) {
    throw new Error(t("There is a voice of that name already."));
  }
  if (shared === null) throw new Error(t("The server has not told its voices yet. Does it want a key?"));
  if (shared) {
    const form = new FormData();
    form.set("name", name);
    form.set("audio_sample", wav, `${name}.wav`);
    form.set("ref_text", transcript);
    form.set("consent", "true");
    const answer = await ask("/v1/audio/voices", { method: "POST", body: form });
    if (!answer.ok) throw new Error(await wordsOf(answer));
  } else {
    await store.put({ name, transcript, wav });
  }
  await refresh();
  return find(`${shared ? "server" : "browser"}:${name}`);
}

export async function remove(voice) {
  if (voice.where === "browser") {
    await store.remove(voice.name);
  } else {
    const answer = await ask(`/v1/audio/voices/${encodeURIComponent(voice.name)}`, { method: "DELETE" });
    if (!answer.ok) throw new Error(await wordsOf(answer));
  }
  await refresh();
}
