#!/usr/bin/env python3
"""Runs the examples of the five documents whose services Mynah stands in for, as they stand.

    clients/run_seed_examples.py FOLDER --mynah target/release/mynah [--report TABLE.md]

FOLDER holds the documents. Every fenced block is taken: programs (bash, Python, JavaScript) are
copied out and run, requests are sent, answers are compared with the documented ones. All of it
happens twice: on one listener with every interface, where the documents' addresses are turned into
its own, and on each document's own port, where not a letter of a program is changed. What a
reader has to fill in, as the id of an upload, is filled in after a run without.

What the documents tell their reader to have is there: recordings (the bundled prompt), the folders
/share and /path, and `storage.output_dir = "/share/workflows/output"`. Folders that were made are
removed at the end. It takes a machine where those may be made and the ports are free: a container.

Python needs requests, aiohttp, websockets and httpx; clients/node must be built, with `ws` beside.
Exits with 1 where an example does not behave as documented.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import requests

from seed_examples import programs
from seed_examples.document import blocks
from seed_examples.plan import PLANS
from seed_examples.steps import Bench, CannotRun, Failed

ROOT = Path(__file__).resolve().parents[1]

#: Characters of a row's last cell.
LONGEST = 300

CONFIG = """
[storage]
dir = "{folder}/data"
voices_dir = "{folder}/voices"
output_dir = "/share/workflows/output"
shared_dir = "/share"
{listeners}
"""
LISTENER = '[[listeners]]\naddress = "127.0.0.1:{port}"\ndialects = [{dialects}]\n'


def prepare():
    """Makes the folders that the documents name. Those whose paths are placeholders are links into
    the others: a client's paths stay where the server's settings keep them."""
    made = [path for path in (Path("/share"), Path("/path")) if not path.exists()]
    if len(made) < 2:
        sys.exit("/share or /path exists already; run this in a container of its own")
    for folder in ("/share/workflows/output", "/share/reference", "/path"):
        os.makedirs(folder)
    for name in ("/share/reference/target_voice.wav", "/share/reference/reference.wav"):
        shutil.copy(programs.PROMPT, name)
    os.symlink("/share/workflows/output", "/path/to")
    shutil.copy(programs.PROMPT, "/share/workflows/output/reference.wav")
    return made


def serve(binary, folder, listeners):
    """Starts a server with a voice that has its own recording. Resolves when it is ready."""
    config = folder / "config.toml"
    config.write_text(CONFIG.format(folder=folder, listeners=listeners))
    command = [binary, "serve", "--config", str(config), "--log", "warn"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    address = re.match(r"listening on (\S+)", process.stdout.readline())
    if address is None:
        sys.exit(f"{' '.join(command)} ended with {process.wait()}")
    url = address[1].split()[0]
    while requests.get(f"{url}/readiness", timeout=10).status_code != 200:
        time.sleep(0.2)
    return process, url


def run(document, url, place):
    """Runs a document's examples; yields a row for each."""
    found = blocks(document.read_text())
    plan, _, _ = PLANS[document.stem]
    unknown = set(found) ^ {number for number in plan if isinstance(number, int)}
    if unknown:
        sys.exit(f"{document.name}: the plan does not fit the document: blocks {sorted(unknown)}")
    bench = Bench(found, url, place)
    for number, step in plan.items():
        name = number
        if isinstance(number, int):
            language, line, text = found[number]
            first = next(part for part in text.splitlines() if part.strip())
            name = f"line {line}, {language}"
        else:
            first = document.read_text().splitlines()[int(number.split()[1]) - 1]
        try:
            result, note = "ok", step(bench)
        except CannotRun as why:
            result, note = "not run", str(why)
        except (Failed, KeyError, requests.RequestException) as error:
            result, note = "FAILED", f"{type(error).__name__}: {error}"
        note = note if len(note) < LONGEST else f"{note[:LONGEST]}…"
        yield [document.stem, name, first.strip()[:60], url.rsplit(":", 1)[1], result, note]


def main():
    parser = argparse.ArgumentParser(description="Run the examples of the five documents.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mynah", default=str(ROOT / "target/release/mynah"), help="the binary")
    parser.add_argument("--only", help="one document, by its name without .md")
    parser.add_argument("--mode", choices=["one", "ports"], help="one of the two rounds alone")
    parser.add_argument("--report", type=Path, help="write a table in Markdown")
    args = parser.parse_args()
    documents = [args.folder / f"{name}.md" for name in PLANS if args.only in (None, name)]

    def rounds():
        every = ", ".join(f'"{d}"' for _, _, own in PLANS.values() for d in own)
        if args.mode != "ports":
            yield documents, LISTENER.format(port=8090, dialects=every), 8090
        for document in documents if args.mode != "one" else []:
            _, port, dialects = PLANS[document.stem]
            own = ", ".join(f'"{d}"' for d in dialects)
            yield [document], LISTENER.format(port=port, dialects=own), None

    # What was started and made is ended and removed then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    made, rows = prepare(), []
    try:
        for some, listeners, port in rounds():
            with tempfile.TemporaryDirectory(prefix="mynah-") as folder:
                process, url = serve(args.mynah, Path(folder), listeners)
                place = port and partial(re.sub, r"(?<=://localhost):\d+", f":{port}")
                try:
                    for document in some:
                        for row in run(document, url, place):
                            rows.append(row)
                            print(" | ".join(row), flush=True)
                finally:
                    process.terminate()
                    process.wait(60)
    finally:
        for folder in made:
            shutil.rmtree(folder)

    if args.report:
        head = ["document", "example", "its first line", "port", "result", "what came of it"]
        lines = [head, ["---"] * len(head), *rows]
        cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
        args.report.write_text("".join(f"| {' | '.join(line)} |\n" for line in cells))
    counts = Counter(row[4] for row in rows)
    print(", ".join(f"{count} {result}" for result, count in counts.items()))
    return 1 if counts["FAILED"] or not counts["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
