// The text box. Behind it lies a copy of its text that is tinted: words spoken, the word under the
// voice, words on their way. The style sheet makes both break lines alike.

const box = document.getElementById("text");
const mirror = document.getElementById("mirror");
const [said, word, sent] = mirror.querySelectorAll("mark");
const rest = mirror.appendChild(document.createTextNode(""));

let composing = false;
let pause;

/** What the page does with what is typed. */
export const composer = {
  /** `pausing`: nothing more came for a while, so the last word is whole. */
  typed: (_text, _pausing) => {},
  /** Characters at the beginning that may not change. */
  locked: () => 0,
  refused: () => {},
  /** Forgets the pause that is being waited for. */
  settle: () => clearTimeout(pause),
};

/** How much of `text` is whole words: all up to the last space, or sign that stands for a word. */
export function wholeWords(text) {
  const words = /^[^]*[\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u3001-\u301f\uff00-\uff65]/u;
  return text.match(words)?.[0].length ?? 0;
}

/** Shows how far a speech has come, `at` being the word under the voice; null clears it. */
export function tint(speech, at = null) {
  const text = box.value;
  const end = speech ? Math.min(speech.sent.length, text.length) : 0;
  const from = at && speech ? Math.min(at.from, end) : 0;
  const to = at && speech ? Math.min(at.to, end) : 0;
  const parts = [text.slice(0, from), text.slice(from, to), text.slice(to, end), text.slice(end)];
  [said, word, sent, rest].forEach((node, i) => {
    if (node.textContent !== parts[i]) node.textContent = parts[i];
  });
  mirror.scrollTop = box.scrollTop;
}

/** Brings the word under the voice into sight. */
export function followWord() {
  if (!word.textContent) return;
  const top = word.offsetTop - box.scrollTop;
  if (top < 0 || top + word.offsetHeight > box.clientHeight) {
    box.scrollTop = word.offsetTop - box.clientHeight / 3;
    mirror.scrollTop = box.scrollTop;
  }
}

function typed() {
  clearTimeout(pause);
  if (composing) return;
  composer.typed(box.value, false);
  // A sentence left standing is spoken without waiting for the space behind it.
  if (/[.!?…]$/.test(box.value)) pause = setTimeout(() => composer.typed(box.value, true), 700);
}

box.addEventListener("compositionstart", () => (composing = true));
box.addEventListener("compositionend", () => {
  composing = false;
  typed();
});
box.addEventListener("input", typed);
box.addEventListener("scroll", () => (mirror.scrollTop = box.scrollTop));
box.addEventListener("beforeinput", (event) => {
  if (composer.locked() === 0) return;
  const deletes = event.inputType.startsWith("delete");
  const from = box.selectionStart - (deletes && box.selectionStart === box.selectionEnd ? 1 : 0);
  const first = event.inputType.endsWith("Forward") ? box.selectionStart : from;
  if (first >= composer.locked()) return;
  event.preventDefault();
  composer.refused();
});
