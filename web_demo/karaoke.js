// Which word is being spoken. The server's word times where there are some; otherwise an estimate
// from how long words of this shape take, stretched to the sound that came.

const PIECE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|\p{N}+(?:[.,:]\p{N}+)*|[\p{L}\p{M}'’-]+|[,;:，；：、—–]|[.!?。！？…]+|\n+/gu;
/** Seconds a unit takes before anything is known of the voice. */
const FIRST_RATE = 0.19;

/** How long a piece takes, in units of about a syllable. */
function units(piece) {
  if (/^\p{N}/u.test(piece)) return 1.5 * piece.length;
  if (/^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u.test(piece)) return 1.1;
  if (/^[\p{L}\p{M}'’-]/u.test(piece)) {
    return 0.25 + 0.75 * Math.max(1, piece.match(/[aeiouyäöüàáâéèêíóôúаеёиоуыэюя]+/giu)?.length ?? 1);
  }
  return /^[,;:，；：、—–]/.test(piece) ? 0.9 : 1.8;
}

/** Keeps the word under the voice, for one utterance. */
export class Karaoke {
  /** `rate`: seconds per unit that this voice took before. */
  constructor(rate) {
    this.rate = rate ?? FIRST_RATE;
    this.text = "";
    this.estimate = [];
    this.total = 0;
    this.told = [];
    this.byPlace = new Map();
    this.last = null;
  }

  /** The text so far. */
  setText(text) {
    if (text === this.text) return;
    this.text = text;
    this.estimate = [];
    this.total = 0;
    for (const match of text.matchAll(PIECE)) {
      const from = match.index;
      const spoken = /^[\p{L}\p{N}]/u.test(match[0]);
      const start = this.total;
      this.total += units(match[0]);
      if (spoken) this.estimate.push({ from, to: from + match[0].length, start, end: this.total });
    }
  }

  /**
   * Times of words from the server: `{from, to, start, end}`, offsets into the text, seconds. What
   * comes later of the same word is better.
   */
  add(words) {
    for (const word of words) this.byPlace.set(word.from, word);
    this.told = [...this.byPlace.values()].sort((a, b) => a.start - b.start);
  }

  /** Told all of the sound, it learns how fast the voice speaks. */
  ended(seconds) {
    if (this.total > 2 && seconds > 0) this.rate = seconds / this.total;
  }

  /** The word at `seconds` of sound, `{from, to}`, or null before the first. Never goes back. */
  at(seconds) {
    const told = this.told.length > 0;
    const words = told ? this.told : this.estimate;
    const time = told ? seconds : seconds / this.rate;
    let low = 0;
    let high = words.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (words[middle].start <= time) low = middle + 1;
      else high = middle;
    }
    const word = words[low - 1] ?? null;
    if (word && (!this.last || word.from >= this.last.from)) this.last = word;
    return this.last;
  }
}
