"""Text up and speech down on one WebSocket, with threads."""

from __future__ import annotations

import json
import threading
from typing import Any, Callable, Dict, Iterable, Iterator, Optional

from websockets.exceptions import ConcurrencyError, ConnectionClosed, ConnectionClosedOK
from websockets.sync.client import ClientConnection

from . import _errors, _request
from ._audio import DEFAULT_SAMPLE_RATE

OnEvent = Callable[[Dict[str, Any]], None]


class Bistream:
    """One utterance whose text is still being written.

    Send text as it comes, and iterate for chunks of 16-bit little-endian mono samples. Reading and
    sending may happen in two threads; :meth:`feed` starts one of them. Leaving the `with` block, or
    :meth:`close`, ends the synthesis at once.
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
        self._failure: Optional[BaseException] = None
        #: Hertz of the samples.
        self.sample_rate = sample_rate or DEFAULT_SAMPLE_RATE

    def send(self, text: str) -> None:
        """Sends more text. It may end anywhere, also inside a word or a number.

        Raises the server's error, where it has refused meanwhile.
        """
        try:
            self._send(text, False)
        except ConnectionClosed:
            self._ended_early()

    def finish(self, text: str = "") -> None:
        """Sends the last text, or none: the rest is spoken, then the iteration ends."""
        try:
            self._send(text, True)
        except ConnectionClosed:
            self._ended_early()

    def feed(self, texts: Iterable[str]) -> None:
        """Sends all of `texts` and finishes, in the background. What it raises, the reader gets."""

        def run() -> None:
            try:
                for text in texts:
                    self._send(text, False)
                self._send("", True)
            except ConnectionClosed:
                pass  # The reader learns why.
            except BaseException as error:
                self._failure = error
                self._socket.close()

        threading.Thread(target=run, daemon=True, name="light-tts-feed").start()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            try:
                message = self._socket.recv(self._timeout)
            except TimeoutError:
                # Before `finish` it is the writer that is slow.
                if self._finished:
                    self.close()
                    raise _errors.RequestTimeoutError(
                        f"no audio came for {self._timeout} seconds"
                    ) from None
                continue
            except ConnectionClosed as closed:
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure from None
                if isinstance(closed, ConnectionClosedOK):
                    raise StopIteration from None
                raise _errors.ConnectionFailedError(f"the connection broke off: {closed}") from None
            if isinstance(message, bytes):
                return message
            self._hear(message)

    def close(self) -> None:
        """Ends the synthesis, whatever is left of it."""
        self._socket.close()

    def __enter__(self) -> "Bistream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, text: str, finish: bool) -> None:
        for piece in _request.frames(text):
            self._socket.send(json.dumps({"tts_text": piece, "finish": False}))
        if finish and not self._finished:
            self._socket.send(json.dumps({"tts_text": "", "finish": True}))
            self._finished = True

    def _hear(self, message: str) -> None:
        answer = json.loads(message)
        if "event" not in answer:
            self._socket.close()
            raise _errors.from_frame(answer, self._socket.protocol.close_code)
        if answer["event"] == "audio_start":
            self.sample_rate = int(answer.get("sample_rate") or self.sample_rate)
        if self._on_event is not None:
            self._on_event(answer)

    def _ended_early(self) -> None:
        """Raises what the server said before it closed."""
        try:
            for _ in self:
                pass
        except ConcurrencyError:
            pass  # Another thread reads, and is told.
        raise _errors.ConnectionFailedError("the conversation has ended") from None
