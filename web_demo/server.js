// What the page asks the server over plain HTTP, and the key it shows where one is wanted.

let key = sessionStorage.getItem("mynah-key") ?? "";

/** False for what can be no key: ASCII without spaces and commas. */
export function setKey(value) {
  const trimmed = value.trim();
  if (!/^[!-+\--~]*$/.test(trimmed)) return false;
  key = trimmed;
  sessionStorage.setItem("mynah-key", key);
  return true;
}

export const hasKey = () => key !== "";

/** For sockets: browsers cannot give them headers. */
export const keyQuery = () => (key ? `?api_key=${encodeURIComponent(key)}` : "");

/** `fetch` with the key. */
export function ask(path, options = {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  return fetch(path, { cache: "no-store", ...options, headers });
}

/** The words of an answer that is an error, in any of the server's shapes. */
export async function wordsOf(answer) {
  const body = await answer.json().catch(() => ({}));
  const words = body.error?.message ?? body.detail ?? body.message ?? `HTTP ${answer.status}`;
  return typeof words === "string" ? words : JSON.stringify(words);
}

/** `ready`, `loading` or `down`. */
export async function readiness() {
  try {
    const answer = await ask("/readiness");
    return answer.ok ? "ready" : "loading";
  } catch {
    return "down";
  }
}

/** The loaded model's name, or null where a key is wanted first. */
export async function modelName() {
  const answer = await ask("/query_tts_model");
  if (answer.status === 401) return null;
  return (await answer.json()).tts_models?.[0] ?? "?";
}
