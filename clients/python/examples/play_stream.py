#!/usr/bin/env python3
"""Plays speech while it is made, or writes it into a WAV file where nothing can play it.

pip install 'light-tts-client[play]'
python play_stream.py "Hello there. The bus was late because of the heavy rain."
fortune | python play_stream.py                        # spoken while it comes
python play_stream.py --prompt-wav me.wav --prompt-text "What I say in me.wav." "Hello."
"""

import argparse
import sys
import time

from light_tts_client import LightTTSClient, LightTTSError, pcm_to_wav


class Speaker:
    """The loudspeaker, or the file where there is none."""

    def __init__(self, output):
        self.output = output
        self.chunks = []
        self.stream = None

    def start(self, rate):
        self.rate = rate
        if self.output is not None:
            return
        try:
            import sounddevice

            self.stream = sounddevice.RawOutputStream(rate, channels=1, dtype="int16")
            self.stream.start()
        except Exception as error:  # no package, no library, no device
            self.output = "out.wav"
            print(f"nothing to play with ({error}); writing {self.output}", file=sys.stderr)

    def play(self, chunk):
        if self.stream is not None:
            self.stream.write(chunk)
        else:
            self.chunks.append(chunk)

    def stop(self):
        if self.stream is not None:
            self.stream.stop()
        elif self.chunks:
            with open(self.output, "wb") as file:
                file.write(pcm_to_wav(self.chunks, self.rate))


def main():
    parser = argparse.ArgumentParser(description="Play speech while it is made.")
    parser.add_argument(
        "text", nargs="?", help="what to say [default: standard input, as it comes]"
    )
    parser.add_argument("--url", default="http://localhost:8080", help="the server [%(default)s]")
    parser.add_argument("-o", "--output", help="write a WAV file instead of playing")
    parser.add_argument("--voice", default="default", help="a registered voice [%(default)s]")
    parser.add_argument("--prompt-wav", help="speak in the voice of this recording")
    parser.add_argument("--prompt-text", help="what is said in the recording")
    args = parser.parse_args()

    if args.prompt_wav:
        voice = {"reference_audio": args.prompt_wav, "prompt_text": args.prompt_text}
    else:
        voice = {"voice": args.voice}
    texts = args.text.split(" ") if args.text else sys.stdin
    speaker = Speaker(args.output)
    begun, first, total = time.monotonic(), None, 0
    with LightTTSClient(args.url) as client, client.bistream(**voice) as stream:
        speaker.start(stream.sample_rate)
        stream.feed(text + " " for text in texts)
        for chunk in stream:
            first = first or time.monotonic() - begun
            total += len(chunk)
            speaker.play(chunk)
        speaker.stop()
    if first is None:
        print("no sound came")
    else:
        seconds = total / 2 / stream.sample_rate
        print(f"first sound after {1000 * first:.0f} ms; {seconds:.2f} s of speech")


if __name__ == "__main__":
    try:
        main()
    except (LightTTSError, OSError) as error:
        sys.exit(f"failed: {error}")
