// A language model's answer, typed token by token into the stream at a chosen rate.

import { t, language } from "./i18n.js";

const at = (id) => document.getElementById(id);

const ANSWERS = {
  en: {
    "A walk": "Sure, here is a short plan for your walk. Start at the old bridge and follow the river for half an hour. You will see a white house with a red roof; turn left there. Rest under the big tree, drink some water, and come back before the rain.",
    "A recipe": "This soup is easy to make. Cut two potatoes, one onion and three carrots. Cook them slowly in a little oil for ten minutes. Then add a litre of water and some salt. Wait for twenty minutes, and serve it hot with fresh bread.",
    "A story": "Once there was a bird that could repeat every voice in the valley. It greeted the baker in the morning and the teacher at noon. One day the valley was quiet under the snow, and the bird sang alone. So people came out of their houses to listen.",
  },
  zh: {
    "散步": "好的，这是一个简单的散步计划。从老桥出发，沿着河走半个小时。看到红屋顶的白房子就向左转。在大树下休息一会儿，喝点水，下雨之前回来。",
    "菜谱": "这道汤很容易做。把两个土豆、一个洋葱和三根胡萝卜切好，用一点油慢慢炒十分钟。然后加一升水和一点盐，再煮二十分钟，趁热和面包一起吃。",
    "故事": "从前有一只鸟，会学山谷里每个人的声音。早上它向面包师问好，中午它向老师问好。有一天大雪盖住了山谷，到处静悄悄的，只有它在唱歌。于是人们都走出家门来听。",
  },
};

/** Pieces as a language model makes them: words with their blank, long ones in two, signs alone. */
export function tokens(text) {
  const pieces = text.match(/\s*(?:[\p{Script=Han}]{1,2}|[\p{L}\p{M}'’]+|\p{N}{1,3}|[^\s])|\s+$/gu) ?? [];
  return pieces.flatMap((piece) => (piece.length > 9 ? [piece.slice(0, 6), piece.slice(6)] : [piece]));
}

let timer = null;

export const running = () => timer !== null;

export function halt() {
  clearTimeout(timer);
  timer = null;
  at("simulate").textContent = t("Let it answer");
}

export function showAnswers() {
  const chosen = at("answer").selectedIndex;
  const names = [...Object.keys(ANSWERS[language()]).map((name) => [name, name]), ["", t("The text in the box")]];
  at("answer").replaceChildren(...names.map(([value, name]) => new Option(name, value)));
  at("answer").selectedIndex = Math.max(0, chosen);
  if (running()) at("simulate").textContent = t("Stop");
}

function showRate() {
  at("rate-value").textContent = t("{rate} tokens/s", { rate: at("rate").value });
  at("rate").setAttribute("aria-valuetext", at("rate-value").textContent);
}

/** `stage`: text(), open() → speech or null, type(token), finish(), stop(). */
export function setUp(stage) {
  showAnswers();
  showRate();
  at("rate").addEventListener("input", showRate);
  at("simulate").addEventListener("click", () => (running() ? stage.stop() : run(stage)));
}

export { showRate };

function run(stage) {
  const text = ANSWERS[language()][at("answer").value] ?? stage.text();
  const queue = tokens(text);
  if (queue.length === 0) return;
  const speech = stage.open();
  if (!speech) return;
  const total = queue.length;
  const start = performance.now();
  let due = start;
  at("simulate").textContent = t("Stop");
  const tick = () => {
    // Several at once where the timer is slower than the rate.
    while (queue.length > 0 && performance.now() >= due) {
      stage.type(queue.shift());
      const wait = 1000 / at("rate").value;
      // Long waits are cut off, which 0.84 makes up for.
      due += at("jitter").checked ? (wait / 0.84) * -Math.log(1 - 0.95 * Math.random()) : wait;
    }
    const seconds = (performance.now() - start) / 1000;
    at("simulated").textContent = t("{count} of {total} tokens in {seconds} s", {
      count: total - queue.length, total, seconds: seconds.toFixed(1),
    });
    if (speech.over) return halt();
    if (queue.length === 0) {
      halt();
      return stage.finish();
    }
    timer = setTimeout(tick, Math.max(4, due - performance.now()));
  };
  timer = setTimeout(tick, 0);
}
