#!/usr/bin/env python3
"""Word error rate of `mynah say` under PocketSphinx.

    cargo build --release
    python3 benches/wer.py                          # bundled voice, its list, seeds 0 1 2
    python3 benches/wer.py --voice rms --seeds 0 1 --json
    python3 benches/wer.py --wavs DIR               # judges DIR/00.wav, 01.wav, ... instead

Each line of the list is spoken, brought to 16 kHz mono by sox, and heard by
`pocketsphinx_continuous -infile`. WER = word edits / words, both summed over the list.
Needs Debian's sox, pocketsphinx and pocketsphinx-en-us.
"""

import argparse
import concurrent.futures
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
VOICE = ROOT / "model_weights" / "mynah-mini"
#: Seconds that speaking or hearing one sentence may take.
PATIENCE = 300


def words(text):
    return re.sub(r"[^a-z' ]+", " ", text.lower()).split()


def edits(said, heard):
    """The fewest words to insert, delete or replace to make `heard` out of `said`."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def command(*line):
    """Runs a program and returns its standard output."""
    done = subprocess.run(
        [str(part) for part in line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode != 0:
        sys.exit(f"{line[0]} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def hear(wav, folder):
    """What the recogniser understands: one line per stretch of speech."""
    narrow = folder / f"{wav.stem}.16k.wav"
    command("sox", wav, "-r", "16000", "-c", "1", "-b", "16", narrow)
    return " ".join(command("pocketsphinx_continuous", "-infile", narrow).split())


def say(args, text, seed, wav):
    line = [args.binary, "say", text, "-o", wav, "--seed", seed, "--quiet"]
    if args.prompt_wav:
        line += ["--prompt-wav", args.prompt_wav, "--prompt-text", args.prompt_text]
    else:
        line += ["--voice", args.voice]
    if args.model_dir:
        line += ["--model-dir", args.model_dir]
    command(*line)


def judge(args, sentence, seed, number, folder):
    wav = folder / f"{number:02}.wav"
    if args.wavs:
        wav = args.wavs / wav.name
    else:
        say(args, sentence, seed, wav)
    heard = hear(wav, folder)
    said, understood = words(sentence), words(heard)
    return {
        "said": sentence,
        "heard": heard,
        "words": len(said),
        "edits": edits(said, understood),
        "seconds": float(command("soxi", "-D", wav)),
    }


def run(args, sentences, seed, folder):
    folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        tasks = [
            pool.submit(judge, args, sentence, seed, number, folder)
            for number, sentence in enumerate(sentences)
        ]
        lines = [task.result() for task in tasks]
    total, wrong = (sum(line[key] for line in lines) for key in ("words", "edits"))
    return {"seed": seed, "words": total, "edits": wrong, "wer": wrong / total, "lines": lines}


def main():
    parser = argparse.ArgumentParser(description="Word error rate of `mynah say` under PocketSphinx.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--voice", default="slt", help="a registered voice [%(default)s]")
    parser.add_argument("--prompt-wav", type=pathlib.Path, help="speak in the voice of this recording")
    parser.add_argument("--prompt-text", help="what is said in it")
    parser.add_argument("--model-dir", type=pathlib.Path, help="a model other than the bundled one")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/mynah")
    parser.add_argument("--sentences", type=pathlib.Path, default=VOICE / "sentences.txt")
    parser.add_argument("--wavs", type=pathlib.Path, help="judge the recordings in this folder")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the recordings in this folder")
    parser.add_argument("--jobs", type=int, default=2, help="sentences at a time [%(default)s]")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--verbose", action="store_true", help="show what was understood")
    args = parser.parse_args()

    if bool(args.prompt_wav) != bool(args.prompt_text):
        parser.error("--prompt-wav and --prompt-text go together")
    needed = ["sox", "soxi", "pocketsphinx_continuous"] + ([] if args.wavs else [str(args.binary)])
    missing = [name for name in needed if not shutil.which(name)]
    if missing:
        sys.exit(f"not found: {', '.join(missing)}")
    sentences = [line.strip() for line in args.sentences.read_text().splitlines() if line.strip()]
    if not sentences:
        sys.exit(f"no sentences in {args.sentences}")
    seeds = [None] if args.wavs else args.seeds

    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or pathlib.Path(temporary)
        runs = [run(args, sentences, seed, folder / f"seed-{seed}") for seed in seeds]
    mean = sum(r["wer"] for r in runs) / len(runs)
    if args.json:
        print(json.dumps({"sentences": len(sentences), "mean_wer": mean, "runs": runs}, indent=1))
        return
    if args.verbose:
        for r in runs:
            for line in r["lines"]:
                print(f"{line['edits']}/{line['words']}  {line['said']}\n     {line['heard']}")
    print(f"{'seed':>6} {'words':>6} {'edits':>6} {'WER':>6} {'speech':>8}")
    for r in runs:
        seconds = sum(line["seconds"] for line in r["lines"])
        seed = "-" if r["seed"] is None else r["seed"]
        print(f"{seed:>6} {r['words']:>6} {r['edits']:>6} {r['wer']:>6.3f} {seconds:>6.1f} s")
    print(f"{'mean':>6} {'':>6} {'':>6} {mean:>6.3f}")


if __name__ == "__main__":
    main()
