"""Runs a block of bash, Python or JavaScript as a program of its own.

Each runs in a folder with the recordings that it reads, and with what such examples take for
granted: in Python a function `process_audio_chunk`; in JavaScript `fs` and `require`, and the
browser's FileReader, Audio and WebSocket.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

CLIENTS = Path(__file__).resolve().parents[1]
PROMPT = CLIENTS.parent / "model_weights" / "mynah-mini" / "prompts" / "rms.wav"

#: Seconds that a program may take. It speaks one or two sentences.
PATIENCE = 300

# The recordings that a block reads.
RECORDINGS = re.compile(r"""(?:@|open\(["'](?=[\w.-]+["'], *["']rb))([\w-]+\.wav)""")

PYTHON = """
import runpy
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


def command(language, text, folder):
    if language == "bash":
        (folder / "block.sh").write_text(text)
        return ["bash", "-e", "block.sh"]
    if language == "python":
        (folder / "block.py").write_text(text)
        (folder / "run.py").write_text(PYTHON)
        return [sys.executable, "run.py"]
    (folder / "block.js").write_text(text)
    (folder / "run.cjs").write_text(JAVASCRIPT)
    return ["node", "run.cjs"]


def made(folder, before):
    """The files that the block wrote, in words, and whether one of them is not what it says."""
    words, wrong = [], False
    for path in sorted(set(folder.iterdir()) - before):
        note = f"{path.name} {path.stat().st_size} bytes"
        wrong = wrong or path.stat().st_size == 0
        if path.suffix == ".wav":
            try:
                with wave.open(str(path)) as file:
                    note += f" ({file.getnframes() / file.getframerate():.2f} s)"
                    wrong = wrong or file.getnframes() == 0
            except (wave.Error, EOFError) as error:
                note, wrong = f"{note} (no WAV: {error})", True
        words.append(note)
    return ", ".join(words), wrong


def run(language, text):
    """Whether it went well, and what came of it."""
    with tempfile.TemporaryDirectory(prefix="example-") as name:
        folder = Path(name)
        for recording in {"reference.wav", *RECORDINGS.findall(text)}:
            shutil.copy(PROMPT, folder / recording)
        program = command(language, text, folder)
        before = set(folder.iterdir()) | {folder / "__pycache__"}
        paths = [str(CLIENTS / "python" / "src"), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "CLIENT": str(CLIENTS / "node"),
        }
        try:
            done = subprocess.run(
                program,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return False, f"still running after {PATIENCE} s"
        files, wrong = made(folder, before)
        errors = done.stderr.decode(errors="replace")
        said = words_of(done.stdout)
        note = "; ".join(filter(None, [said, files]))
        complaint = re.search(r'"error_code": ?"|\bError\b|[Ff]ailed|Traceback', said + errors)
        if done.returncode != 0 or complaint or wrong or not note:
            lines = errors.strip().splitlines()
            why = next((line for line in reversed(lines) if "rror" in line), "".join(lines[-1:]))
            return False, f"exit {done.returncode}; {note}; {why.strip()}"
        return True, note


def words_of(stdout):
    """What a program said: text in a line, and how many bytes of sound there were."""
    at = next((i for i in (stdout.find(b"RIFF"), stdout.find(b"\0")) if i >= 0), len(stdout))
    text = " ⏎ ".join(stdout[:at].decode(errors="replace").strip().splitlines())
    sound = f"{len(stdout) - at} bytes of sound" if at < len(stdout) else ""
    # Before its first zero, sound looks like text to nobody.
    text = "" if sound and not text.isprintable() else text
    return " ⏎ ".join(filter(None, [text, sound]))
