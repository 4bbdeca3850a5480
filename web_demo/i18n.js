// English and Chinese. Texts are named by their English words; {braces} are filled in.

import { ZH } from "./zh.js";

let current = localStorage.getItem("mynah-language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

/** English texts that were asked for in Chinese and not found. */
export const missing = new Set();

export const language = () => current;

export function setLanguage(wanted) {
  current = wanted;
  localStorage.setItem("mynah-language", wanted);
}

export function t(text, values = {}) {
  let words = text;
  if (current === "zh") {
    if (Object.hasOwn(ZH, text)) words = ZH[text];
    else missing.add(text);
  }
  return words.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const ATTRIBUTES = { tLabel: "aria-label", tPlaceholder: "placeholder" };
const originals = new WeakMap();

function original(element, attribute, read) {
  const kept = originals.get(element) ?? {};
  kept[attribute] ??= read();
  originals.set(element, kept);
  return kept[attribute];
}

/** Puts the fixed texts of the page into the language chosen. */
export function translatePage() {
  document.documentElement.lang = current === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = t(original(element, "text", () => element.textContent));
  }
  for (const [mark, attribute] of Object.entries(ATTRIBUTES)) {
    const selector = `[data-${mark.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}]`;
    for (const element of document.querySelectorAll(selector)) {
      element.setAttribute(attribute, t(original(element, attribute, () => element.getAttribute(attribute))));
    }
  }
  const button = document.getElementById("language");
  button.textContent = current === "zh" ? "English" : "中文";
  button.lang = current === "zh" ? "en" : "zh";
  const mac = /Mac|iPhone|iPad/.test(navigator.platform);
  const keys = mac ? { enter: "⌘ ↵", tabs: "⌥ 1–4", save: "⌥ D" } : { enter: "Ctrl ↵", tabs: "Alt 1–4", save: "Alt D" };
  for (const element of document.querySelectorAll("[data-keys]")) element.textContent = keys[element.dataset.keys];
}
