"""Text up and speech down on one WebSocket, with asyncio."""

from __future__ import annotations

import asyncio
import json
from typing import Any, AsyncIterable, AsyncIterator, Dict, Iterable, Optional, Union

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidStatus,
)

from . import _errors, _request
from ._audio import DEFAULT_SAMPLE_RATE
from ._bistream import OnEvent

#: Pieces of text, such as a language model's tokens.
Texts = Union[Iterable[str], AsyncIterable[str]]


async def open_socket(
    settings: _request.Settings, init: Dict[str, Any], prompt: Optional[bytes]
) -> ClientConnection:
    try:
        socket = await connect(
            settings.websocket_url(),
            additional_headers=settings.headers(),
            open_timeout=settings.timeout,
            close_timeout=2,
            max_size=None,
        )
    except InvalidStatus as refused:
        answer = refused.response
        body = bytes(answer.body or b"")
        raise _errors.from_response(answer.status_code, answer.headers, body) from None
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise _errors.RequestTimeoutError("the server does not answer") from error
    except (OSError, InvalidHandshake) as error:
        raise _errors.ConnectionFailedError(f"no connection: {error}") from error
    await socket.send(json.dumps(init))
    if prompt is not None:
        await socket.send(prompt)
    return socket


class AsyncBistream:
    """One utterance whose text is still being written.

    Send text as it comes, and iterate for chunks of 16-bit little-endian mono samples, in one task
    or in two; :meth:`feed` starts one. Leaving the `async with` block, or :meth:`close`, ends the
    synthesis at once.
    """

    def __init__(
        self,
        socket: ClientConnection,
        timeout: float,
        sample_rate: Optional[int],
        on_event: Optional[OnEvent],
    ) -> None:
        self._socket = socket
        self._timeout = timeout
        self._on_event = on_event
        self._finished = False
        self._feeding: Optional["asyncio.Task[None]"] = None
        self._failure: Optional[Exception] = None
        #: Hertz of the samples.
        self.sample_rate = sample_rate or DEFAULT_SAMPLE_RATE

    async def send(self, text: str) -> None:
        """Sends more text. It may end anywhere, also inside a word or a number.

        Raises the server's error, where it has refused meanwhile.
        """
        try:
            await self._send(text, False)
        except ConnectionClosed:
            await self._ended_early()

    async def finish(self, text: str = "") -> None:
        """Sends the last text, or none: the rest is spoken, then the iteration ends."""
        try:
            await self._send(text, True)
        except ConnectionClosed:
            await self._ended_early()

    def feed(self, texts: Texts) -> None:
        """Sends all of `texts` and finishes, in a task. What it raises, the reader gets."""
        self._feeding = asyncio.ensure_future(self._feed(texts))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while True:
            try:
                message = await asyncio.wait_for(self._socket.recv(), self._timeout)
            except (TimeoutError, asyncio.TimeoutError):
                # Before `finish` it is the writer that is slow.
                if self._finished:
                    await self.close()
                    raise _errors.RequestTimeoutError(
                        f"no audio came for {self._timeout} seconds"
                    ) from None
                continue
            except ConnectionClosed as closed:
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure from None
                if isinstance(closed, ConnectionClosedOK):
                    raise StopAsyncIteration from None
                raise _errors.ConnectionFailedError(f"the connection broke off: {closed}") from None
            if isinstance(message, bytes):
                return message
            await self._hear(message)

    async def close(self) -> None:
        """Ends the synthesis, whatever is left of it."""
        if self._feeding is not None:
            self._feeding.cancel()
        await self._socket.close()

    async def __aenter__(self) -> "AsyncBistream":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _feed(self, texts: Texts) -> None:
        try:
            if isinstance(texts, AsyncIterable):
                async for text in texts:
                    await self._send(text, False)
            else:
                for text in texts:
                    await self._send(text, False)
            await self._send("", True)
        except ConnectionClosed:
            pass  # The reader learns why.
        except Exception as error:
            self._failure = error
            await self._socket.close()

    async def _send(self, text: str, finish: bool) -> None:
        for piece in _request.frames(text):
            await self._socket.send(json.dumps({"tts_text": piece, "finish": False}))
        if finish and not self._finished:
            await self._socket.send(json.dumps({"tts_text": "", "finish": True}))
            self._finished = True

    async def _hear(self, message: str) -> None:
        answer = json.loads(message)
        if "event" not in answer:
            await self.close()
            raise _errors.from_frame(answer, self._socket.protocol.close_code)
        if answer["event"] == "audio_start":
            self.sample_rate = int(answer.get("sample_rate") or self.sample_rate)
        if self._on_event is not None:
            self._on_event(answer)

    async def _ended_early(self) -> None:
        """Raises what the server said before it closed."""
        try:
            async for _ in self:
                pass
        except ConcurrencyError:
            pass  # Another task reads, and is told.
        raise _errors.ConnectionFailedError("the conversation has ended") from None
