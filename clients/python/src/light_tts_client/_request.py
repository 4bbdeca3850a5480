"""What both clients send, and when they try again. Knows no network."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Optional, Tuple
from urllib.parse import urlsplit, urlunsplit

from ._audio import AudioSource, read_audio
from ._errors import APIError

#: Characters of one text frame; servers take up to 1000.
FRAME_CHARS = 500


@dataclass(frozen=True)
class Settings:
    base_url: str
    timeout: float
    max_retries: int
    max_retry_wait: float
    api_key: Optional[str]

    def headers(self) -> Dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def websocket_url(self) -> str:
        parts = urlsplit(self.base_url)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        path = parts.path.rstrip("/") + "/inference_zero_shot_bistream"
        return urlunsplit((scheme, parts.netloc, path, parts.query, ""))

    def wait_before_retry(self, error: APIError, attempt: int) -> Optional[float]:
        """Seconds to wait before the next attempt; None: give up."""
        if not error.retryable or attempt >= self.max_retries:
            return None
        # A little later than asked, each client at another moment.
        wait = error.retry_after if error.retry_after is not None else 0.5 * 2.0**attempt
        return None if wait > self.max_retry_wait else wait * random.uniform(1.0, 1.1)


def settings(
    base_url: str,
    timeout: float,
    max_retries: int,
    max_retry_wait: float,
    api_key: Optional[str],
) -> Settings:
    if urlsplit(base_url).scheme not in ("http", "https"):
        raise ValueError(f"base_url must begin with http:// or https://, not {base_url!r}")
    return Settings(base_url.rstrip("/"), timeout, max_retries, max_retry_wait, api_key)


def form(
    *,
    text: str,
    stream: bool,
    prompt_text: Optional[str],
    reference_audio: Optional[AudioSource],
    voice: Optional[str],
    speed: float,
    model: Optional[str],
    sample_rate: Optional[int],
    seed: Optional[int],
    response_format: Optional[str],
) -> Dict[str, Any]:
    """The arguments of httpx's `post` for `/inference_zero_shot`."""
    fields: Dict[str, Any] = {
        "tts_text": text,
        "prompt_text": prompt_text,
        "voice": voice,
        "stream": "true" if stream else "false",
        "speed": None if speed == 1.0 else speed,
        "tts_model_name": model,
        "sample_rate": sample_rate,
        "seed": seed,
        "response_format": response_format,
    }
    data = {name: str(value) for name, value in fields.items() if value is not None}
    if reference_audio is None:
        return {"data": data}
    prompt = ("reference.wav", read_audio(reference_audio), "audio/wav")
    return {"data": data, "files": {"prompt_wav": prompt}}


def opening(
    *,
    prompt_text: Optional[str],
    reference_audio: Optional[AudioSource],
    voice: Optional[str],
    model: Optional[str],
    sample_rate: Optional[int],
    seed: Optional[int],
    events: bool,
) -> Tuple[Dict[str, Any], Optional[bytes]]:
    """The first frame of a bistream, and the recording that follows it."""
    fields: Dict[str, Any] = {
        "prompt_text": prompt_text,
        "voice": voice,
        "tts_model_name": model or "default",
        "sample_rate": sample_rate,
        "seed": seed,
        "events": True if events else None,
    }
    init = {name: value for name, value in fields.items() if value is not None}
    if voice is not None or reference_audio is None:
        return init, None
    return init, read_audio(reference_audio)


def frames(text: str) -> Iterator[str]:
    """Text in pieces that fit a frame."""
    for start in range(0, len(text), FRAME_CHARS):
        yield text[start : start + FRAME_CHARS]
