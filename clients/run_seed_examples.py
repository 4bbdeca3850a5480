#!/usr/bin/env python3
"""Runs the code examples of an API document, as they stand, against a server.

    clients/run_seed_examples.py API.md [--url http://localhost:8080] [--only 1,4] [--keep FOLDER]

Each fenced block of bash, python or javascript that is a program runs in a folder of its own with
what such examples take for granted: the recordings that it names (copies of --prompt); in Python a
function `process_audio_chunk`; in JavaScript `fs` and `require`, and the browser's FileReader,
Audio and WebSocket. Not a letter of a block is changed, unless --url gives another address than
the one it names.

Python needs requests, aiohttp and websockets installed; the clients are those beside this program
(build clients/node first). Prints a line for each block, and `N passed, N failed, N skipped` at the
end; exits with 1 when one failed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROMPT = HERE.parent / "model_weights" / "mynah-mini" / "prompts" / "rms.wav"

# The recordings that a block reads.
RECORDINGS = re.compile(r"""(?:@|open\(["'](?=[\w.-]+["'], *["']rb))([\w-]+\.wav)""")

PYTHON = """
import runpy, sys
def process_audio_chunk(chunk):
    if not isinstance(chunk, bytes):
        raise TypeError("a chunk is no bytes")
    with open("chunks.pcm", "ab") as file:
        file.write(chunk)
runpy.run_path("block.py", {"process_audio_chunk": process_audio_chunk}, "__main__")
"""

# A function of the block without arguments that nobody calls is called: examples end with one.
JAVASCRIPT = r"""
const fs = require("fs"), vm = require("vm"), { createRequire } = require("module");
const source = fs.readFileSync("block.js", "utf8");
const load = createRequire(process.env.CLIENT + "/package.json");
globalThis.fs = fs;
globalThis.require = (name) => (name.startsWith("node:") || fs[name] ? require(name) : load(name));
globalThis.FileReader = class {
  readAsArrayBuffer(file) {
    fs.promises.readFile(file).then(
      (bytes) => { this.result = new Uint8Array(bytes).buffer; this.onload({ target: this }); },
      (error) => this.onerror(error));
  }
};
globalThis.Audio = class {
  constructor(url) { this.url = url; }
  async play() {
    const bytes = await fetch(this.url).then((answer) => answer.arrayBuffer());
    fs.appendFileSync("played.pcm", Buffer.from(bytes));
    clearTimeout(globalThis.silence);
    globalThis.silence = setTimeout(() => process.exit(0), 3000);
  }
};
if (!globalThis.WebSocket) {
  const { WebSocket } = load("ws");
  globalThis.WebSocket = class extends WebSocket {
    constructor(url) { super(url); this.binaryType = "arraybuffer"; }
    set onmessage(heard) {
      super.onmessage = ({ data }) =>
        heard({ data: typeof data === "string" ? data : new Blob([data]) });
    }
  };
}
vm.runInThisContext(source, { filename: "block.js" });
for (const [, name] of source.matchAll(/^async function (\w+)\(\)/gm)) {
  const calls = source.match(new RegExp("(?<![.\\w])" + name + "\\(", "g"));
  if (calls.length === 1) globalThis[name]();
}
"""


def blocks(document):
    """Language, line and text of each fenced block."""
    found, language, start, lines = [], None, 0, []
    for number, line in enumerate(document.splitlines(), 1):
        fence = re.match(r"\s*```\s*(\w*)", line)
        if fence and language is None:
            language, start, lines = fence.group(1).lower() or "text", number, []
        elif fence:
            found.append((language, start, "\n".join(lines) + "\n"))
            language = None
        elif language is not None:
            lines.append(line)
    return found


def command(language, text, folder):
    """How to run a block; None where it is no program of a client."""
    if language in ("bash", "sh", "shell") and re.search(r"^\s*curl ", text, re.M):
        (folder / "block.sh").write_text(text)
        return ["bash", "-e", "block.sh"]
    if language in ("python", "py") and re.search(r"^(import|from) ", text, re.M):
        (folder / "block.py").write_text(text)
        (folder / "run.py").write_text(PYTHON)
        return [sys.executable, "run.py"]
    if language in ("javascript", "js"):
        (folder / "block.js").write_text(text)
        (folder / "run.cjs").write_text(JAVASCRIPT)
        return ["node", "run.cjs"]
    return None


def made(folder, before):
    """The files that the block wrote, in words, and whether one of them is not what it says."""
    words, wrong = [], False
    for path in sorted(set(folder.iterdir()) - before):
        note = f"{path.name} {path.stat().st_size} bytes"
        if path.suffix == ".wav":
            try:
                with wave.open(str(path)) as file:
                    note += f" ({file.getnframes() / file.getframerate():.2f} s)"
                    wrong = wrong or file.getnframes() == 0
            except (wave.Error, EOFError) as error:
                note, wrong = f"{note} (no WAV: {error})", True
        words.append(note)
    return ", ".join(words), wrong


def run(language, text, args):
    """Whether it went well (None: nothing to run), and what to say about it."""
    folder = Path(tempfile.mkdtemp(prefix="example-", dir=args.keep))
    try:
        for name in {"reference.wav", *RECORDINGS.findall(text)}:
            shutil.copy(args.prompt, folder / name)
        program = command(language, text, folder)
        if program is None:
            return None, "nothing to run"
        before = set(folder.iterdir()) | {folder / "stdout", folder / "__pycache__"}
        paths = [str(HERE / "python" / "src"), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "CLIENT": str(HERE / "node"),
        }
        with open(folder / "stdout", "wb") as stdout:
            try:
                done = subprocess.run(
                    program,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=subprocess.PIPE,
                    timeout=args.timeout,
                )
            except subprocess.TimeoutExpired:
                return False, f"still running after {args.timeout} s"
        out = (folder / "stdout").read_bytes()
        errors = done.stderr.decode(errors="replace")
        files, wrong = made(folder, before)
        binary = b"\0" in out
        said = f"{len(out)} bytes of sound" if binary else out.decode(errors="replace").strip()
        complaint = re.search(r"error_code|\bError\b|[Ff]ailed", "" if binary else said + errors)
        note = "; ".join(filter(None, [" ⏎ ".join(said.splitlines())[:200], files]))
        if done.returncode != 0 or complaint or wrong:
            lines = errors.strip().splitlines()
            why = next((line for line in reversed(lines) if "rror" in line), "".join(lines[-1:]))
            return False, f"exit {done.returncode}; {note}; {why.strip()}"
        return True, note or "no output"
    finally:
        if args.keep is None:
            shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description="Run the code examples of an API document.")
    parser.add_argument("document", type=Path)
    parser.add_argument("--url", help="another address than the one that the document names")
    parser.add_argument("--prompt", type=Path, default=PROMPT, help="the reference.wav")
    parser.add_argument("--only", help="numbers of blocks, such as 1,4")
    parser.add_argument("--timeout", type=float, default=60, help="seconds a block may take")
    parser.add_argument("--keep", type=Path, help="keep each block's folder below this one")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    only = {int(number) for number in args.only.split(",")} if args.only else None

    passed = failed = skipped = 0
    for number, (language, line, text) in enumerate(blocks(args.document.read_text()), 1):
        if only is not None and number not in only:
            continue
        if args.url:
            host = args.url.split("://", 1)[1].rstrip("/")
            text = re.sub(r"(?<=://)localhost:\d+", host, text)
        good, note = run(language, text, args)
        if good is None:
            skipped += 1
            continue
        passed, failed = passed + good, failed + (not good)
        print(
            f"{'ok    ' if good else 'FAILED'} {number:3} line {line:4} {language}: {note}",
            flush=True,
        )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
