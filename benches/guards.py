#!/usr/bin/env python3
"""Share of sentences that come out wrong, without and with `engine.guards`.

    cargo build --release
    pip install numpy httpx websockets           # and pocketsphinx for --hear
    python3 benches/guards.py                    # 500 sentences, whole text, seed 0
    python3 benches/guards.py --mode bistream --seeds 0 1 --limit 200 --keep rows.jsonl
    python3 benches/guards.py --read rows.jsonl  # the table again

Two servers speak the same sentences with the same seeds, one of them without guards. Where the
guards did nothing (by `mynah_guard_total`) both give the same sound, so that the second one speaks
only the sentences in which they did something, and `--check` others, whose sound must be equal.

The judge hears the sound alone and shares no code with the guards:
* runaway, dropped: the seconds between the first and the last sound are more than 1.5, or less
  than 0.62, times what the number of letters and commas says, by a line fitted to the sentences
  without guards;
* loop: the spectrum of some stretch comes three times, one after the other, or hardly changes for
  two seconds;
* silence: more than two seconds.
`--hear` asks PocketSphinx for the number of words as well: less than 0.5 or more than 1.6 times
those of the text.
"""

import argparse
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "clients/python/src"))
MODES = ("whole", "stream", "bistream")
#: Sentences that the guards' bounds were chosen on.
TUNED = 200


class Server:
    """The real binary on a port of its own."""

    def __init__(self, args, guards):
        from light_tts_client import LightTTSClient

        line = [args.binary, "serve", "--host", "127.0.0.1", "--port", "0"]
        settings = {
            "MYNAH_ENGINE__GUARDS": str(guards).lower(),
            # Sound that does not depend on the speed of the machine.
            "MYNAH_ENGINE__ADAPTIVE_FIRST_HOP": "false",
            "MYNAH_JOBS__BACKEND": "off",
            "MYNAH_LOG__LEVEL": "error",
        }
        self.process = subprocess.Popen(
            [str(part) for part in line],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **settings},
        )
        self.url = None
        for said in self.process.stdout:
            if found := re.search(r"127\.0\.0\.1:(\d+)", said):
                self.url = f"http://127.0.0.1:{found[1]}"
                break
        if self.url is None:
            sys.exit("the server did not start")
        self.client = LightTTSClient(base_url=self.url, timeout=600)
        self.wait()

    def wait(self):
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.url}/readiness", timeout=60).close()
                return
            except urllib.error.URLError:
                time.sleep(0.1)
        sys.exit("the server did not become ready")

    def actions(self):
        """What the guards did so far, by reason and action."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        found = re.findall(r"^mynah_guard_total\{(.*?)\} (\d+)$", text, re.M)
        counts = {}
        for labels, count in found:
            labels = dict(re.findall(r'(\w+)="(\w+)"', labels))
            counts[f"{labels['reason']} {labels['action']}"] = int(count)
        return counts

    def speak(self, mode, voice, text, seed):
        """Samples in [-1, 1] and their rate."""
        if mode == "whole":
            return read(self.client.synthesize(text, voice=voice, seed=seed))
        if mode == "stream":
            with self.client.synthesize_stream(text, voice=voice, seed=seed) as stream:
                return pcm(b"".join(stream)), stream.sample_rate
        with self.client.bistream(voice=voice, seed=seed) as stream:
            for word in re.findall(r"\s*\S+", text):
                stream.send(word)
            stream.finish()
            return pcm(b"".join(stream)), stream.sample_rate

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def pcm(data):
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


def read(wav):
    with wave.open(io.BytesIO(wav)) as file:
        return pcm(file.readframes(file.getnframes())), file.getframerate()


def frames(samples, rate):
    """Loudness of each 10 ms, and logarithms of the spectrum around, in 24 bands."""
    hop, size = rate // 100, rate // 25
    count = max((len(samples) - size) // hop, 1)
    padded = np.pad(samples, (0, size))
    cut = np.stack([padded[i * hop : i * hop + size] for i in range(count)])
    loudness = np.sqrt((cut[:, :hop] ** 2).mean(1))
    power = np.abs(np.fft.rfft(cut * np.hanning(size), axis=1)) ** 2
    edges = np.unique(np.geomspace(3, power.shape[1] * 0.66, 25).astype(int))
    bands = np.stack([power[:, a:b].sum(1) for a, b in zip(edges, edges[1:])], 1)
    return loudness, np.log(bands + 1e-7)


def longest_run(flags):
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


def loop(bands):
    """The greatest likeness of a stretch of sound with the two before it, 0.25 to 2 s each, and
    the least change over two seconds."""
    x = bands - bands.mean(0)
    x = x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-9)
    best = 0.0
    for lag in range(25, min(200, len(x) // 3) + 1):
        likeness = (x[lag:] * x[:-lag]).sum(1)
        window = 2 * lag
        sums = np.concatenate([[0.0], np.cumsum(likeness)])
        best = max(best, float((sums[window:] - sums[:-window]).max() / window))
    steady = np.inf
    for start in range(0, len(bands) - 200, 10):
        steady = min(steady, float(bands[start : start + 200].std(0).mean()))
    return best, steady


def measure(samples, rate):
    loudness, bands = frames(samples, rate)
    loud = np.sort(loudness)[len(loudness) * 9 // 10]
    sounds = np.flatnonzero(loudness > 0.05 * loud)
    first, last = (sounds[0], sounds[-1]) if len(sounds) else (0, 0)
    likeness, steady = loop(bands)
    return {
        "seconds": len(samples) / rate,
        "spoken": float(last - first + 1) / 100,
        "silence": longest_run(loudness < 0.05 * loud) / 100,
        "likeness": likeness,
        "steady": min(steady, 1e3),
    }


def hear(samples, rate, decoder=[]):
    from pocketsphinx import Decoder

    if not decoder:
        decoder.append(Decoder(loglevel="FATAL"))
    places = np.arange(0, len(samples), rate / 16000)
    narrow = np.interp(places, np.arange(len(samples)), smooth(samples, rate))
    decoder[0].start_utt()
    decoder[0].process_raw((narrow * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder[0].end_utt()
    words = [segment.word for segment in decoder[0].seg()]
    return [re.sub(r"\(\d+\)", "", word) for word in words if word[0] not in "<[+"]


def smooth(samples, rate):
    """Without what 16 kHz cannot hold."""
    spectrum = np.fft.rfft(samples)
    spectrum[int(len(spectrum) * 16000 / rate) :] = 0
    return np.fft.irfft(spectrum, len(samples))


def speak_all(args, sentences):
    guarded, free = Server(args, True), Server(args, False)
    rows = []
    unequal = checked = 0
    keep = open(args.keep, "w") if args.keep else None
    try:
        for number, text in list(enumerate(sentences))[args.skip :]:
            for seed in args.seeds:
                before = guarded.actions()
                sound, rate = guarded.speak(args.mode, args.voice, text, seed)
                did = {k: n - before[k] for k, n in guarded.actions().items() if n > before[k]}
                row = {"number": number, "text": text, "seed": seed, "did": did}
                row["with"] = measure(sound, rate)
                if args.hear:
                    row["with"]["heard"] = hear(sound, rate)
                row["without"] = row["with"]
                check = checked < args.check and number % 7 == 0
                if did or check:
                    other, _ = free.speak(args.mode, args.voice, text, seed)
                    if not did:
                        checked += 1
                        unequal += not np.array_equal(sound, other)
                    else:
                        row["without"] = measure(other, rate)
                        if args.hear:
                            row["without"]["heard"] = hear(other, rate)
                    if args.wavs and did:
                        for name, samples in (("with", sound), ("without", other)):
                            save(args.wavs / f"{number:03}-{seed}-{name}.wav", samples, rate)
                rows.append(row)
                if keep:
                    keep.write(json.dumps(row) + "\n")
                    keep.flush()
    finally:
        guarded.stop()
        free.stop()
    print(f"{checked} sentences in which the guards did nothing compared: {unequal} differ")
    return rows


def save(path, samples, rate):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32768).clip(-32768, 32767).astype("<i2").tobytes())


def features(text):
    inner = text.rstrip(".?!")
    return [1.0, sum(c.isalnum() for c in text), sum(inner.count(c) for c in ",;:.?!")]


def fit(rows):
    """Seconds that a text takes: a line through the middle of the sentences without guards."""
    x = np.array([features(row["text"]) for row in rows])
    y = np.array([row["without"]["spoken"] for row in rows])
    keep = np.ones(len(y), bool)
    line = np.zeros(3)
    for _ in range(5):
        line = np.linalg.lstsq(x[keep], y[keep], rcond=None)[0]
        ratio = y / (x @ line)
        keep = (ratio > 0.75) & (ratio < 1.3)
    return line


def wrong(row, which, line):
    """What is wrong with a sentence."""
    sound = row[which]
    ratio = sound["spoken"] / float(np.dot(features(row["text"]), line))
    found = set()
    if ratio > 1.5:
        found.add("runaway")
    if ratio < 0.62:
        found.add("dropped")
    if sound["likeness"] > 0.85 or sound["steady"] < 0.6:
        found.add("loop")
    if sound["silence"] > 2.05:
        found.add("silence")
    if "heard" in sound:
        share = len(sound["heard"]) / max(len(row["text"].split()), 1)
        if share > 1.6:
            found.add("more words")
        if share < 0.5:
            found.add("fewer words")
    return found


def table(rows):
    line = fit(rows)
    parts = [("all", rows)]
    if len({row["number"] for row in rows}) > TUNED:
        parts.append((f"first {TUNED}", [row for row in rows if row["number"] < TUNED]))
        parts.append(("others", [row for row in rows if row["number"] >= TUNED]))
    for name, part in parts:
        print(f"\n{name}: {len(part)} utterances")
        print(f"{'':14}{'without':>16}{'with':>16}")
        found = {w: [wrong(row, w, line) for row in part] for w in ("without", "with")}
        kinds = sorted({kind for sets in found.values() for each in sets for kind in each})
        for kind in kinds + ["any"]:
            cells = ""
            for which in ("without", "with"):
                count = sum((kind in each) or (kind == "any" and bool(each)) for each in found[which])
                cells += f"{count:>8} {100 * count / len(part):5.2f} %"
            print(f"{kind:14}{cells}")
    did = {}
    for row in rows:
        for key, count in row["did"].items():
            did[key] = did.get(key, 0) + count
    acted = sum(bool(row["did"]) for row in rows)
    print(f"\nguards acted on {acted} utterances: {did}")
    seconds = {w: sum(row[w]["seconds"] for row in rows) for w in ("without", "with")}
    print(f"speech: {seconds['without']:.0f} s without, {seconds['with']:.0f} s with")


def main():
    parser = argparse.ArgumentParser(description="Sentences that come out wrong, without and with guards.")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/mynah")
    parser.add_argument("--sentences", type=pathlib.Path, default=ROOT / "benches/guards_sentences.txt")
    parser.add_argument("--mode", choices=MODES, default="whole", help="how it is asked for [%(default)s]")
    parser.add_argument("--voice", default="default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N")
    parser.add_argument("--limit", type=int, help="only so many sentences")
    parser.add_argument("--skip", type=int, default=0, help="without so many of the first of them")
    parser.add_argument("--check", type=int, default=20, help="unguarded sounds to compare [%(default)s]")
    parser.add_argument("--hear", action="store_true", help="count words by PocketSphinx")
    parser.add_argument("--keep", type=pathlib.Path, help="write what was measured to this file")
    parser.add_argument("--wavs", type=pathlib.Path, help="leave the sounds that differ in this folder")
    parser.add_argument("--read", type=pathlib.Path, nargs="+", help="tell of what --keep wrote")
    args = parser.parse_args()

    if args.read:
        lines = [line for file in args.read for line in file.read_text().splitlines()]
        return table([json.loads(line) for line in lines])
    sentences = args.sentences.read_text().splitlines()[: args.limit]
    table(speak_all(args, sentences))


if __name__ == "__main__":
    main()
