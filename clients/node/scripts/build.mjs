// Compiles src twice: as ES modules and as CommonJS, each with its types.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");

rmSync(join(root, "dist"), { recursive: true, force: true });
for (const [folder, type, flags] of [
  ["esm", "module", []],
  ["cjs", "commonjs", ["--module", "CommonJS", "--moduleResolution", "Node10"]],
]) {
  const out = join("dist", folder);
  mkdirSync(join(root, out), { recursive: true });
  writeFileSync(join(root, out, "package.json"), `{ "type": "${type}" }\n`);
  const args = [tsc, "-p", "tsconfig.json", "--outDir", out, ...flags];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
