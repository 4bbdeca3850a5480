// Dark and light: as the system has it, until the reader chooses.

import { t } from "./i18n.js";

const root = document.documentElement;
const button = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");

const chosen = () => localStorage.getItem("mynah-theme");
const isDark = () => (chosen() ? chosen() === "dark" : dark.matches);

function apply() {
  root.dataset.theme = isDark() ? "dark" : "light";
  relabel();
}

export function relabel() {
  const words = isDark() ? t("Light colours") : t("Dark colours");
  button.setAttribute("aria-label", words);
  button.title = words;
}

/** `changed` repaints what style sheets do not reach. */
export function setUp(changed) {
  apply();
  changed();
  button.addEventListener("click", () => {
    const wanted = isDark() ? "light" : "dark";
    if ((wanted === "dark") === dark.matches) localStorage.removeItem("mynah-theme");
    else localStorage.setItem("mynah-theme", wanted);
    apply();
    changed();
  });
  dark.addEventListener("change", () => {
    apply();
    changed();
  });
}
