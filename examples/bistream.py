#!/usr/bin/env python3
"""Speaks text while it comes: words go up, sound comes down, on one WebSocket.

    pip install websockets
    python examples/bistream.py "Hello there. The bus was late because of the heavy rain."
    fortune | python examples/bistream.py                     # or type, and end with Ctrl-D
    python examples/bistream.py --prompt-wav me.wav --prompt-text "What I say in me.wav." "Hello."

Writes out.wav and prints when the first sound came. Needs a running server: mynah serve
"""

import argparse
import asyncio
import codecs
import json
import os
import sys
import threading
import time
import wave

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

RATE = 24000


async def speak(url, init, prompt_wav, pieces, on_audio):
    """Sends `pieces` (an async iterator of text) and passes each audio frame to `on_audio`.

    Returns the seconds from the first text to the first audio, or None where none came.
    Raises RuntimeError with the server's words when it refuses.
    """
    first_text = first_audio = failure = None
    async with connect(url, max_size=None) as socket:
        await socket.send(json.dumps(init))
        if prompt_wav:
            # One binary frame or several: the first text frame ends the recording.
            await socket.send(prompt_wav)

        async def send():
            nonlocal first_text, failure
            try:
                async for piece in pieces:
                    first_text = first_text or time.monotonic()
                    await socket.send(json.dumps({"tts_text": piece, "finish": False}))
                await socket.send(json.dumps({"tts_text": "", "finish": True}))
            except ConnectionClosed:
                pass
            except Exception as error:
                # `finish` would never come: end the conversation too.
                failure = error
                await socket.close()

        sending = asyncio.create_task(send())
        error = None
        try:
            # Ends when the server closes with 1000, which it does after the last audio.
            async for message in socket:
                if isinstance(message, bytes):
                    first_audio = first_audio or time.monotonic()
                    on_audio(message)
                elif "error_code" in (answer := json.loads(message)):
                    error = f"{answer['error_code']}: {answer['message']} ({answer['detail']})"
        except ConnectionClosed as closed:
            error = error or f"the connection broke off: {closed}"
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        if failure:
            raise failure
        if error:
            raise RuntimeError(error)
    return first_audio - first_text if first_audio else None


async def words(text):
    """Word by word, as a language model would write them."""
    for word in text.split():
        yield word + " "
        await asyncio.sleep(0.02)


async def typed():
    """Standard input, as it comes: pieces may end inside a word."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while data := os.read(sys.stdin.fileno(), 512):
            loop.call_soon_threadsafe(queue.put_nowait, decoder.decode(data))
        loop.call_soon_threadsafe(queue.put_nowait, None)

    # A thread that does not keep the program alive while nobody types.
    threading.Thread(target=read, daemon=True).start()
    while (piece := await queue.get()) is not None:
        if piece:
            yield piece


def add_arguments(parser):
    parser.add_argument("--url", default="ws://localhost:8080", help="the server [%(default)s]")
    parser.add_argument("-o", "--output", default="out.wav", help="the WAV to write [%(default)s]")
    parser.add_argument("--voice", default="default", help="a registered voice [%(default)s]")
    parser.add_argument("--prompt-wav", help="speak in the voice of this recording")
    parser.add_argument("--prompt-text", help="what is said in the recording")
    parser.add_argument("--seed", type=int, help="equal seeds give equal speech")


def run(args, pieces):
    """Speaks `pieces` as the arguments ask, into a WAV file. Returns the exit code."""
    init = {"tts_model_name": "default", "sample_rate": RATE}
    prompt_wav = None
    if args.prompt_wav:
        if not args.prompt_text:
            sys.exit("--prompt-wav needs --prompt-text")
        init["prompt_text"] = args.prompt_text
        with open(args.prompt_wav, "rb") as file:
            prompt_wav = file.read()
    else:
        init["voice"] = args.voice
    if args.seed is not None:
        init["seed"] = args.seed

    audio = bytearray()
    url = args.url.rstrip("/") + "/inference_zero_shot_bistream"
    try:
        first = asyncio.run(speak(url, init, prompt_wav, pieces, audio.extend))
    except (OSError, RuntimeError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    with wave.open(args.output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(audio)
    when = "none" if first is None else f"{1000 * first:.0f} ms after the first text"
    print(f"first packet: {when}; {len(audio) / 2 / RATE:.2f} s of speech in {args.output}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speak text while it comes.")
    parser.add_argument("text", nargs="?", help="what to say [default: standard input, as it comes]")
    add_arguments(parser)
    args = parser.parse_args()
    sys.exit(run(args, words(args.text) if args.text else typed()))
