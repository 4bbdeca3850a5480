"""Raw samples and WAV files."""

from __future__ import annotations

import io
import os
import wave
from typing import BinaryIO, Iterable, Union

#: A path, the bytes of a file, or an open file.
AudioSource = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, BinaryIO]

#: Hertz, where a server names no other rate.
DEFAULT_SAMPLE_RATE = 24000


def read_audio(source: AudioSource) -> bytes:
    """The bytes of a recording."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            return file.read()
    return source.read()


def pcm_to_wav(pcm: Union[bytes, Iterable[bytes]], sample_rate: int = DEFAULT_SAMPLE_RATE) -> bytes:
    """A WAV file of 16-bit mono samples: all of them, or chunk by chunk."""
    samples = bytes(pcm) if isinstance(pcm, (bytes, bytearray)) else b"".join(pcm)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples)
    return out.getvalue()


class WholeSamples:
    """Cuts chunks between samples: the network may cut them within one."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, chunk: bytes) -> bytes:
        data = self._rest + chunk
        whole = len(data) & ~1
        self._rest = data[whole:]
        return data[:whole]
