#!/usr/bin/env python3
"""Mynah as the voice of a Pipecat pipeline.

    pip install ./clients/python pipecat-ai
    python examples/pipecat_mynah_tts.py "Hello there. The bus was late."      # tries it: out.wav

In a pipeline:

    Pipeline([transport.input(), stt, context.user(), llm, MynahTTSService(voice="default"), …])

The language model's tokens go to the server as they come, one stream for each answer, and speech
comes back before its sentence is finished. An interruption closes the stream, upon which the server
stops computing.
"""

import argparse
import asyncio
import sys
import wave
from collections.abc import AsyncGenerator

import light_tts_client as ltc
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TextAggregationMode, TTSService


class MynahTTSService(TTSService):
    """Speaks in a registered `voice`, or as in `reference_audio`, where `prompt_text` is said."""

    def __init__(
        self,
        *,
        base_url: str = "http://localhost:8080",
        voice: str | None = "default",
        prompt_text: str | None = None,
        reference_audio: ltc.AudioSource | None = None,
        api_key: str | None = None,
        **kwargs,
    ):
        super().__init__(
            # The server finds the ends of sentences itself, and needs not wait for them.
            text_aggregation_mode=TextAggregationMode.TOKEN,
            push_start_frame=True,
            settings=TTSSettings(model=None, voice=voice, language=None),
            **kwargs,
        )
        self._prompt = (prompt_text, reference_audio)
        self._client = ltc.AsyncLightTTSClient(base_url, api_key=api_key)
        self._streams: dict[str, ltc.AsyncBistream] = {}
        self._readers: dict[str, asyncio.Task] = {}
        # The answer that was last refused: the rest of it is not sent.
        self._refused: str | None = None

    def can_generate_metrics(self) -> bool:
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Sends a piece of an answer; what comes back is read by a task of that answer."""
        if context_id == self._refused:
            yield None
            return
        try:
            stream = self._streams.get(context_id)
            if stream is None:
                stream = await self._client.bistream(
                    **self._speaker(), sample_rate=self.sample_rate
                )
                self._streams[context_id] = stream
                reader = self._read(context_id, stream)
                self._readers[context_id] = self.create_task(reader)
            await stream.send(text)
            yield None
        except ltc.LightTTSError as error:
            self._refused = context_id
            yield ErrorFrame(error=f"Mynah: {error}")

    def _speaker(self) -> dict:
        prompt_text, reference_audio = self._prompt
        if reference_audio is not None:
            return {"prompt_text": prompt_text, "reference_audio": reference_audio}
        return {"voice": self._settings.voice}

    async def _read(self, context_id: str, stream: ltc.AsyncBistream) -> None:
        try:
            async for chunk in stream:
                await self.stop_ttfb_metrics()
                frame = TTSAudioRawFrame(chunk, stream.sample_rate, 1, context_id=context_id)
                await self.append_to_audio_context(context_id, frame)
        except ltc.LightTTSError as error:
            self._refused = context_id
            await self.push_error(error_msg=f"Mynah: {error}")
        finally:
            self._streams.pop(context_id, None)
            self._readers.pop(context_id, None)
            await stream.close()
        await self.append_to_audio_context(context_id, TTSStoppedFrame(context_id=context_id))
        await self.remove_audio_context(context_id)

    async def flush_audio(self, context_id: str | None = None) -> None:
        """The answer is complete."""
        if stream := self._streams.get(context_id or ""):
            try:
                await stream.finish()
            except ltc.LightTTSError:
                pass  # The reader tells.

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        await self._drop(context_id)

    async def _drop(self, context_id: str) -> None:
        if reader := self._readers.pop(context_id, None):
            await self.cancel_task(reader)

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._close()

    async def _close(self) -> None:
        for context_id in list(self._readers):
            await self._drop(context_id)
        await self._client.close()


async def main(args) -> float:
    """Runs a pipeline of a language model's frames, the service, and a recorder."""
    from pipecat.tests.utils import SleepFrame, run_test

    service = MynahTTSService(base_url=args.url, voice=args.voice, sample_rate=24000)
    words = [LLMTextFrame(word + " ") for word in args.text.split()]
    down, _ = await run_test(
        service,
        frames_to_send=[
            LLMFullResponseStartFrame(),
            *words,
            LLMFullResponseEndFrame(),
            SleepFrame(sleep=args.seconds),
        ],
    )
    audio = b"".join(frame.audio for frame in down if isinstance(frame, TTSAudioRawFrame))
    names = [type(frame).__name__ for frame in down if not isinstance(frame, TTSAudioRawFrame)]
    with wave.open(args.output, "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(audio)
    seconds = len(audio) / 2 / 24000
    print(f"{seconds:.2f} s of speech in {args.output}; other frames: {', '.join(names)}")
    return seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Try Mynah as the voice of a Pipecat pipeline.")
    parser.add_argument("text")
    parser.add_argument("--url", default="http://localhost:8080", help="the server [%(default)s]")
    parser.add_argument("--voice", default="default", help="a registered voice [%(default)s]")
    parser.add_argument("--seconds", type=float, default=5, help="to wait for speech [%(default)s]")
    parser.add_argument("-o", "--output", default="out.wav", help="the WAV to write [%(default)s]")
    sys.exit(0 if asyncio.run(main(parser.parse_args())) > 0 else 1)
