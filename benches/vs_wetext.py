#!/usr/bin/env python3
"""How far the normaliser agrees with WeText, for measuring only.

Reads the written column of the cases of `tests/text` with both and compares what is spoken, after
folding what does not matter to speech: hyphens, commas and other punctuation, case, "and".

    pip install wetext
    python3 benches/vs_wetext.py [--mynah "target/release/mynah normalize"] [--list FILE]

Prints the agreement per class. `--list` writes every line where the two differ.
`wetext_differences.md` judges them.
"""

import argparse
import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path

from wetext import Normalizer

CASES = Path(__file__).parent.parent / "tests/text"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
#: Read alike: names of letters are spaced out by one, and left together by the other.
SIGNS = re.compile(r"[^\w\u4e00-\u9fff]+")


def folded(text, chinese):
    """What is left of a spoken text when punctuation, case and "and" are taken away."""
    text = SIGNS.sub(" ", text.lower().replace("'", "").replace("’", "")).replace("_", " ")
    words = [word for word in text.split() if word != "and"]
    return "".join(words) if chinese else " ".join(words)


def cases():
    for language in ["en", "zh", "common"]:
        for line in (CASES / f"cases_{language}.tsv").read_text().splitlines():
            if line and not line.startswith("# "):
                kind, written, _ = line.split("\t")
                # One line for both programs.
                written = written.replace("\\n", " ")
                chinese = language == "zh" or bool(CHINESE.search(written))
                yield f"{language}/{kind}", written, chinese


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mynah", default="target/release/mynah normalize")
    parser.add_argument("--list", type=Path, help="a file for the lines that differ")
    args = parser.parse_args()
    rows = list(cases())
    ours = subprocess.run(shlex.split(args.mynah), input="\n".join(row[1] for row in rows) + "\n",
                          capture_output=True, text=True, check=True).stdout.splitlines()
    if len(ours) != len(rows):
        raise SystemExit(f"{len(ours)} lines came back for {len(rows)}")
    wetext = {chinese: Normalizer(lang="zh" if chinese else "en", operator="tn")
              for chinese in (False, True)}
    same, total, different, failed = Counter(), Counter(), [], 0
    for (kind, written, chinese), our in zip(rows, ours):
        total[kind] += 1
        try:
            their = wetext[chinese].normalize(written)
        except Exception as error:  # It has no reading for some texts, and says so by any error.
            failed += 1
            their = f"(fails: {type(error).__name__})"
        if folded(our, chinese) == folded(their, chinese):
            same[kind] += 1
        else:
            different.append((kind, written, our, their))
    print(f"{'class':24} {'same':>5} {'of':>5}")
    for kind in sorted(total):
        print(f"{kind:24} {same[kind]:5} {total[kind]:5}")
    for language in ["en", "zh", "common"]:
        part = [kind for kind in total if kind.startswith(language + "/")]
        agree, of = sum(same[kind] for kind in part), sum(total[kind] for kind in part)
        print(f"{language:24} {agree:5} {of:5}  {100 * agree / max(of, 1):.1f} %")
    print(f"WeText fails on {failed} of {len(rows)} lines.")
    if args.list:
        lines = [f"{kind}\n  written {written}\n  ours    {our}\n  wetext  {their}\n"
                 for kind, written, our, their in different]
        args.list.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
