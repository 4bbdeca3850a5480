#!/usr/bin/env python3
"""How exact the word times of the realtime dialect are.

Speaks sentences with `timestamps` over `/v1/realtime/speech` of a running server and compares the
beginnings of the words with a forced alignment by PocketSphinx (English).

    pip install pocketsphinx websockets numpy
    mynah serve &
    python3 benches/word_times.py [--url ws://localhost:8080] [--sentences FILE] [--seed N]
"""

import argparse
import asyncio
import json
import re
from pathlib import Path

import numpy as np
import pocketsphinx
import websockets

RATE = 16000
#: Hundredths of a second of silence around what is aligned.
PAD = 20
SENTENCES = Path(__file__).parent.parent / "model_weights/mynah-mini/sentences.txt"


async def speak(socket, context, text, seed):
    """The audio, the final words and the first estimate of each word, by place in the text."""
    frame = {"context_id": context}
    await socket.send(json.dumps({**frame, "type": "start", "voice": "default", "seed": seed,
                                  "sample_rate": RATE, "timestamps": True}))
    for piece in re.findall(r"\S+\s*", text):
        await socket.send(json.dumps({**frame, "type": "text", "text": piece}))
    await socket.send(json.dumps({**frame, "type": "close_context"}))
    audio, final, early = bytearray(), {}, {}
    async for message in socket:
        if isinstance(message, bytes):
            audio += message
            continue
        event = json.loads(message)
        if event["type"] == "words":
            for word in event["words"]:
                if event["final"]:
                    final[word["from"]] = word
                else:
                    early[word["from"]] = {**word, "heard": len(audio) / 2 / RATE}
        elif event["type"] == "done":
            return bytes(audio), final, early
        elif event["type"] == "error":
            raise SystemExit(event)


def align(audio, words):
    """Start and end of each word by PocketSphinx, or None where it does not find them."""
    decoder = pocketsphinx.Decoder(samprate=RATE, bestpath=False, loglevel="FATAL")
    decoder.set_align_text(" ".join(words))
    # Speech that ends with the sound has no place for the last state of the alignment.
    quiet = np.random.default_rng(0).normal(0, 3, RATE * PAD // 100).astype("<i2").tobytes()
    decoder.start_utt()
    decoder.process_raw(quiet + audio + quiet, full_utt=True)
    decoder.end_utt()
    found = [s for s in decoder.seg() or [] if not s.word.startswith(("<", "["))]
    if [re.sub(r"\(\d+\)$", "", s.word) for s in found] != words:
        return None
    return [((s.start_frame - PAD) / 100, (s.end_frame + 1 - PAD) / 100) for s in found]


def report(name, errors):
    e = np.abs(np.array(errors)) * 1000
    print(f"{name:24} {len(e):4} words   mean absolute error {e.mean():5.0f} ms   "
          f"median {np.median(e):4.0f}   90 % {np.percentile(e, 90):4.0f}   "
          f"bias {np.mean(errors) * 1000:+4.0f}")


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="ws://localhost:8080")
    parser.add_argument("--sentences", type=Path, default=SENTENCES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--save", type=Path, help="folder for audio and times")
    args = parser.parse_args()
    starts, ends, estimates, inner, lead = [], [], [], [], []
    async with websockets.connect(args.url + "/v1/realtime/speech", max_size=None) as socket:
        await socket.recv()
        for i, text in enumerate(args.sentences.read_text().split("\n")):
            if not text.strip():
                continue
            audio, final, early = await speak(socket, f"s{i}", text, args.seed + i)
            final = [final[at] for at in sorted(final)]
            truth = align(audio, [w["text"].lower() for w in final])
            if args.save:
                args.save.mkdir(exist_ok=True)
                (args.save / f"{i}.raw").write_bytes(audio)
                (args.save / f"{i}.json").write_text(json.dumps(
                    {"text": text, "words": final, "truth": truth}))
            if truth is None:
                print(f"not aligned: {text}")
                continue
            for j, (word, (start, end)) in enumerate(zip(final, truth)):
                starts.append(word["start"] - start)
                ends.append(word["end"] - end)
                if j > 0:
                    inner.append(word["start"] - start)
                if word["from"] in early:
                    estimates.append(early[word["from"]]["start"] - start)
                    lead.append(start - early[word["from"]]["heard"])
                if args.verbose:
                    print(f"{word['text']:14} {word['start']:6.2f} {start:6.2f} "
                          f"{word['start'] - start:+.2f}   {word['end']:6.2f} {end:6.2f}")
    report("starts", starts)
    report("starts but the first", inner)
    report("ends", ends)
    report("estimated starts", estimates)
    print(f"{len(estimates)} of {len(starts)} words had an estimate, sent "
          f"{np.median(lead):.2f} s before their sound (median), {np.mean(np.array(lead) < 0):.0%} late")


asyncio.run(main())
