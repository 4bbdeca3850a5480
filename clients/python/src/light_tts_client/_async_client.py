"""The client for asyncio."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, List, Optional, TypeVar

import httpx

from . import _errors, _request
from ._async_bistream import AsyncBistream, Texts, open_socket
from ._audio import DEFAULT_SAMPLE_RATE, AudioSource, WholeSamples
from ._bistream import OnEvent
from ._client import failure

T = TypeVar("T")


class AsyncAudioStream:
    """Speech as it is made: iterate for chunks of 16-bit little-endian mono samples.

    The request is sent when the iteration, or an `async with` block, begins. Leaving it before its
    end (`close`, or the end of the block) ends the synthesis.
    """

    def __init__(self, start: Callable[[], Awaitable[httpx.Response]]) -> None:
        self._start = start
        self._response: Optional[httpx.Response] = None
        self._chunks: Optional[AsyncIterator[bytes]] = None
        self._samples = WholeSamples()
        #: Hertz of the samples, known when the request was answered.
        self.sample_rate = DEFAULT_SAMPLE_RATE
        #: The name of the request in the server's log, known when it was answered.
        self.request_id: Optional[str] = None

    async def _open(self) -> AsyncIterator[bytes]:
        if self._chunks is None:
            self._response = await self._start()
            headers = self._response.headers
            self.sample_rate = int(headers.get("x-sample-rate", DEFAULT_SAMPLE_RATE))
            self.request_id = headers.get("x-request-id")
            self._chunks = self._response.aiter_bytes()
        return self._chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunks = await self._open()
        while True:
            try:
                chunk = self._samples.take(await chunks.__anext__())
            except StopAsyncIteration:
                await self.close()
                raise
            except httpx.StreamClosed:
                raise StopAsyncIteration from None
            except httpx.HTTPError as error:
                await self.close()
                raise failure(error) from error
            except asyncio.CancelledError:
                await self.close()
                raise
            if chunk:
                return chunk

    async def close(self) -> None:
        if self._response is not None:
            await self._response.aclose()

    async def __aenter__(self) -> "AsyncAudioStream":
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Opening:
    """An utterance that is being opened: `await` it, or use it with `async with`."""

    def __init__(self, start: Callable[[], Awaitable[AsyncBistream]]) -> None:
        self._start = start
        self._stream: Optional[AsyncBistream] = None

    def __await__(self) -> Any:
        return self._start().__await__()

    async def __aenter__(self) -> AsyncBistream:
        self._stream = await self._start()
        return self._stream

    async def __aexit__(self, *_: object) -> None:
        if self._stream is not None:
            await self._stream.close()


class AsyncLightTTSClient:
    """Speaks with a server. Close it, or use it with `async with`.

    The arguments are those of :class:`light_tts_client.LightTTSClient`.
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
        self._http = httpx.AsyncClient(
            base_url=self._settings.base_url, timeout=timeout, headers=self._settings.headers()
        )

    async def synthesize(
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
        """Speaks `text` and returns all of it, a WAV file unless `response_format` differs."""
        response = await self._post(
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
            return await response.aread()
        except httpx.HTTPError as error:
            raise failure(error) from error
        finally:
            await response.aclose()

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
    ) -> AsyncAudioStream:
        """Speaks `text`; iterate over the result for samples as they are made."""
        form = _request.form(
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
        return AsyncAudioStream(lambda: self._post(form))

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
    ) -> _Opening:
        """Opens an utterance whose text comes piece by piece: `async with client.bistream(…)`."""
        init, prompt = _request.opening(
            prompt_text=prompt_text,
            reference_audio=reference_audio,
            voice=voice,
            model=model,
            sample_rate=sample_rate,
            seed=seed,
            events=on_event is not None,
        )

        async def attempt() -> AsyncBistream:
            socket = await open_socket(self._settings, init, prompt)
            return AsyncBistream(socket, self._settings.timeout, sample_rate, on_event)

        return _Opening(lambda: self._retrying(attempt))

    async def synthesize_bistream(
        self, texts: Texts, *args: Any, **options: Any
    ) -> AsyncIterator[bytes]:
        """Speaks the pieces of `texts` as they come, such as a language model's tokens.

        Takes the other arguments of :meth:`bistream`. Leave a loop over it early only with
        `contextlib.aclosing`, or use :meth:`bistream`: Python does not close the generator at once.
        """
        async with self.bistream(*args, **options) as stream:
            stream.feed(texts)
            async for chunk in stream:
                yield chunk

    async def models(self) -> List[str]:
        """The names of the loaded models."""
        response = await self._retrying(lambda: self._get("/query_tts_model"))
        return [str(name) for name in response.json().get("tts_models", [])]

    async def voices(self) -> List[str]:
        """The names that `voice` may have.

        Raises NotFoundError where the server has no `/v1/audio/voices`, as LightTTS's own.
        """
        response = await self._retrying(lambda: self._get("/v1/audio/voices"))
        return [str(name) for name in response.json().get("voices", [])]

    async def ready(self) -> bool:
        """Whether the model is loaded and the server takes requests."""
        try:
            await self._get("/readiness")
        except _errors.LightTTSError:
            return False
        return True

    async def wait_until_ready(self, timeout: float = 60) -> None:
        """Waits until :meth:`ready`.

        Raises RequestTimeoutError if that takes more than `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while not await self.ready():
            if loop.time() >= end:
                raise _errors.RequestTimeoutError(f"not ready after {timeout} seconds")
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> "AsyncLightTTSClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _post(self, form: Dict[str, Any]) -> httpx.Response:
        async def attempt() -> httpx.Response:
            request = self._http.build_request("POST", "/inference_zero_shot", **form)
            return await self._send(request, stream=True)

        return await self._retrying(attempt)

    async def _get(self, path: str) -> httpx.Response:
        return await self._send(self._http.build_request("GET", path), stream=False)

    async def _send(self, request: httpx.Request, stream: bool) -> httpx.Response:
        try:
            response = await self._http.send(request, stream=stream)
            if response.is_success:
                return response
            body = await response.aread()
            await response.aclose()
        except httpx.HTTPError as error:
            raise failure(error) from error
        raise _errors.from_response(response.status_code, response.headers, body)

    async def _retrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        tried = 0
        while True:
            try:
                return await attempt()
            except _errors.APIError as error:
                wait = self._settings.wait_before_retry(error, tried)
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            tried += 1
