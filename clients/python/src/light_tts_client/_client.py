"""The client without asyncio."""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, TypeVar

import httpx
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from . import _errors, _request
from ._audio import DEFAULT_SAMPLE_RATE, AudioSource, WholeSamples
from ._bistream import Bistream, OnEvent

T = TypeVar("T")


class AudioStream:
    """Speech as it is made: iterate for chunks of 16-bit little-endian mono samples.

    Leaving it before its end (`close`, or the end of a `with` block) ends the synthesis.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._chunks = response.iter_bytes()
        self._samples = WholeSamples()
        #: Hertz of the samples.
        self.sample_rate = int(response.headers.get("x-sample-rate", DEFAULT_SAMPLE_RATE))
        #: The name of the request in the server's log.
        self.request_id: Optional[str] = response.headers.get("x-request-id")

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            try:
                chunk = self._samples.take(next(self._chunks))
            except StopIteration:
                self.close()
                raise
            except httpx.StreamClosed:
                raise StopIteration from None
            except httpx.HTTPError as error:
                self.close()
                raise failure(error) from error
            if chunk:
                return chunk

    def close(self) -> None:
        self._response.close()

    def __enter__(self) -> "AudioStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LightTTSClient:
    """Speaks with a server. Safe to share between threads; close it, or use it with `with`.

    Args:
        base_url: the server's address.
        timeout: seconds to connect, and that the server may stay silent. A whole synthesis is
            silent until it is done.
        max_retries: how often a request is repeated that was turned away with 429 or 503, after
            the time that the server's `Retry-After` names.
        max_retry_wait: a longer `Retry-After` is not waited for.
        api_key: sent as a bearer token.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:8080",
        timeout: float = 30,
        *,
        max_retries: int = 2,
        max_retry_wait: float = 30,
        api_key: Optional[str] = None,
    ) -> None:
        self._settings = _request.settings(base_url, timeout, max_retries, max_retry_wait, api_key)
        self._http = httpx.Client(
            base_url=self._settings.base_url, timeout=timeout, headers=self._settings.headers()
        )

    def synthesize(
        self,
        text: str,
        prompt_text: Optional[str] = None,
        reference_audio: Optional[AudioSource] = None,
        *,
        voice: Optional[str] = None,
        speed: float = 1.0,
        model: Optional[str] = None,
        sample_rate: Optional[int] = None,
        seed: Optional[int] = None,
        response_format: Optional[str] = None,
    ) -> bytes:
        """Speaks `text` and returns the whole of it, a WAV file unless `response_format` differs.

        The voice is that of `reference_audio` (a path, bytes or a file), in which `prompt_text` is
        said; or the registered `voice`.
        """
        response = self._post(
            _request.form(
                text=text,
                stream=False,
                prompt_text=prompt_text,
                reference_audio=reference_audio,
                voice=voice,
                speed=speed,
                model=model,
                sample_rate=sample_rate,
                seed=seed,
                response_format=response_format,
            )
        )
        try:
            return response.read()
        except httpx.HTTPError as error:
            raise failure(error) from error
        finally:
            response.close()

    def synthesize_stream(
        self,
        text: str,
        prompt_text: Optional[str] = None,
        reference_audio: Optional[AudioSource] = None,
        *,
        voice: Optional[str] = None,
        model: Optional[str] = None,
        sample_rate: Optional[int] = None,
        seed: Optional[int] = None,
    ) -> AudioStream:
        """Speaks `text`; iterate over the result for samples as they are made.

        Returns when the first of them are there, and raises before that.
        """
        response = self._post(
            _request.form(
                text=text,
                stream=True,
                prompt_text=prompt_text,
                reference_audio=reference_audio,
                voice=voice,
                speed=1.0,
                model=model,
                sample_rate=sample_rate,
                seed=seed,
                response_format=None,
            )
        )
        return AudioStream(response)

    def bistream(
        self,
        prompt_text: Optional[str] = None,
        reference_audio: Optional[AudioSource] = None,
        *,
        voice: Optional[str] = None,
        model: Optional[str] = None,
        sample_rate: Optional[int] = None,
        seed: Optional[int] = None,
        on_event: Optional[OnEvent] = None,
    ) -> Bistream:
        """Opens an utterance whose text comes piece by piece; use it with `with`.

        `on_event` is called with the server's JSON events (`audio_start`, `progress`, `done`).
        """
        init, prompt = _request.opening(
            prompt_text=prompt_text,
            reference_audio=reference_audio,
            voice=voice,
            model=model,
            sample_rate=sample_rate,
            seed=seed,
            events=on_event is not None,
        )

        def attempt() -> Bistream:
            settings = self._settings
            try:
                socket = connect(
                    settings.websocket_url(),
                    additional_headers=settings.headers(),
                    open_timeout=settings.timeout,
                    close_timeout=2,
                    max_size=None,
                ).__enter__()  # Left by Bistream.close.
            except InvalidStatus as refused:
                answer = refused.response
                body = bytes(answer.body or b"")
                raise _errors.from_response(answer.status_code, answer.headers, body) from None
            except TimeoutError as error:
                raise _errors.RequestTimeoutError("the server does not answer") from error
            except (OSError, InvalidHandshake) as error:
                raise _errors.ConnectionFailedError(f"no connection: {error}") from error
            socket.send(json.dumps(init))
            if prompt is not None:
                socket.send(prompt)
            return Bistream(socket, settings.timeout, sample_rate, on_event)

        return self._retrying(attempt)

    def synthesize_bistream(
        self, texts: Iterable[str], *args: Any, **options: Any
    ) -> Iterator[bytes]:
        """Speaks the pieces of `texts` as they come, such as a language model's tokens.

        Takes the other arguments of :meth:`bistream`. The pieces are read in a thread of their own.
        """
        with self.bistream(*args, **options) as stream:
            stream.feed(texts)
            yield from stream

    def models(self) -> List[str]:
        """The names of the loaded models."""
        response = self._retrying(lambda: self._get("/query_tts_model"))
        return [str(name) for name in response.json().get("tts_models", [])]

    def voices(self) -> List[str]:
        """The names that `voice` may have.

        Raises NotFoundError where the server has no `/v1/audio/voices`, as LightTTS's own.
        """
        response = self._retrying(lambda: self._get("/v1/audio/voices"))
        return [str(name) for name in response.json().get("voices", [])]

    def ready(self) -> bool:
        """Whether the model is loaded and the server takes requests."""
        try:
            self._get("/readiness")
        except _errors.LightTTSError:
            return False
        return True

    def wait_until_ready(self, timeout: float = 60) -> None:
        """Waits until :meth:`ready`.

        Raises RequestTimeoutError if that takes more than `timeout` seconds.
        """
        end = time.monotonic() + timeout
        while not self.ready():
            if time.monotonic() >= end:
                raise _errors.RequestTimeoutError(f"not ready after {timeout} seconds")
            time.sleep(0.2)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "LightTTSClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _post(self, form: Dict[str, Any]) -> httpx.Response:
        def attempt() -> httpx.Response:
            request = self._http.build_request("POST", "/inference_zero_shot", **form)
            return self._send(request, stream=True)

        return self._retrying(attempt)

    def _get(self, path: str) -> httpx.Response:
        return self._send(self._http.build_request("GET", path), stream=False)

    def _send(self, request: httpx.Request, stream: bool) -> httpx.Response:
        try:
            response = self._http.send(request, stream=stream)
            if response.is_success:
                return response
            body = response.read()
            response.close()
        except httpx.HTTPError as error:
            raise failure(error) from error
        raise _errors.from_response(response.status_code, response.headers, body)

    def _retrying(self, attempt: Callable[[], T]) -> T:
        tried = 0
        while True:
            try:
                return attempt()
            except _errors.APIError as error:
                wait = self._settings.wait_before_retry(error, tried)
                if wait is None:
                    raise
            time.sleep(wait)
            tried += 1


def failure(error: httpx.HTTPError) -> _errors.LightTTSError:
    """What became of a request, in this package's words."""
    if isinstance(error, httpx.TimeoutException):
        return _errors.RequestTimeoutError("the server does not answer")
    return _errors.ConnectionFailedError(str(error) or type(error).__name__)
