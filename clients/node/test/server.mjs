// A real server for the tests. `MYNAH_BIN` names the binary; without it, `target/release/mynah` of
// the repository, which `MYNAH_ROOT` names where this is a copy. Without any, the tests that need a
// server are skipped.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const root = process.env.MYNAH_ROOT ?? fileURLToPath(new URL("../../..", import.meta.url));
const built = join(root, "target/release/mynah");
export const binary = process.env.MYNAH_BIN ?? (existsSync(built) ? built : null);
export const skip = binary ? false : "no mynah: build it, or set MYNAH_BIN";

const prompts = join(root, "model_weights/mynah-mini/prompts");
export const prompt = () => ({
  promptText: readFileSync(join(prompts, "rms.txt"), "utf8").trim(),
  referenceAudio: readFileSync(join(prompts, "rms.wav")),
});

/** Starts a server on a port that the system chooses. */
export function serve(...flags) {
  return serveWith({}, ...flags);
}

/** The same, with settings in the environment. */
export function serveWith(environment, ...flags) {
  const args = ["serve", "--host", "127.0.0.1", "--port", "0", "--log", "error", ...flags];
  const env = { ...process.env, ...environment };
  const child = spawn(binary, args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
  const stop = () =>
    new Promise((done) => {
      child.once("exit", done);
      child.kill("SIGTERM");
    });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`mynah ended with ${code}`)));
    createInterface(child.stdout).on("line", (line) => {
      const url = line.match(/^listening on (http:\S+)/)?.[1];
      if (url) resolve({ url, stop });
    });
  });
}

/** Waits until no session is left. */
export async function idle(url) {
  for (let i = 0; i < 400; i += 1) {
    const text = await (await fetch(`${url}/metrics`)).text();
    if (/^mynah_sessions_active 0$/m.test(text)) return true;
    await new Promise((done) => setTimeout(done, 50));
  }
  return false;
}
