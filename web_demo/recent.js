// The "Recent" panel: what was spoken, to save or to hear again.

import { t } from "./i18n.js";
import { fileName } from "./stage.js";
import * as voices from "./voices.js";

/** Utterances whose sound is kept. */
const KEPT = 8;

const list = document.getElementById("history");

export function add(speech, { again }) {
  const row = document.getElementById("recent-row").content.cloneNode(true);
  row.querySelector(".said").textContent = speech.sent.trim();
  row.querySelector(".facts").textContent = t("{voice} · {seconds} s · first sound after {ms} ms · gaps: {gaps}", {
    voice: voices.title(speech.voice),
    seconds: speech.seconds.toFixed(1),
    ms: Math.round(speech.firstPacket),
    gaps: speech.gaps,
  });
  const save = row.querySelector(".save");
  save.href = URL.createObjectURL(speech.wav());
  save.download = fileName(speech.sent);
  save.textContent = t("Save WAV");
  const repeat = row.querySelector(".again");
  repeat.textContent = t("Say again");
  repeat.onclick = () => again(speech.sent);
  list.prepend(row);
  document.getElementById("nothing-yet").hidden = true;
  while (list.children.length > KEPT) {
    URL.revokeObjectURL(list.lastElementChild.querySelector(".save").href);
    list.lastElementChild.remove();
  }
}
