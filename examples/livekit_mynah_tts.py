#!/usr/bin/env python3
"""Mynah as the voice of a LiveKit agent.

    pip install ./clients/python livekit-agents
    python examples/livekit_mynah_tts.py "Hello there. The bus was late."      # tries it: out.wav

In an agent:

    session = AgentSession(tts=MynahTTS(voice="default"), llm=…, stt=…)

The language model's tokens go to the server as they come, and speech comes back before its sentence
is finished. An interruption closes the stream, upon which the server stops computing.
"""

import argparse
import asyncio
import contextlib
import sys
import wave

import light_tts_client as ltc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    APIConnectionError,
    APIConnectOptions,
    APIStatusError,
    APITimeoutError,
    tts,
    utils,
)

SAMPLE_RATE = 24000


class MynahTTS(tts.TTS):
    """Speaks in a registered `voice`, or as in `reference_audio`, where `prompt_text` is said."""

    def __init__(
        self,
        *,
        base_url: str = "http://localhost:8080",
        voice: str | None = "default",
        prompt_text: str | None = None,
        reference_audio: ltc.AudioSource | None = None,
        api_key: str | None = None,
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
        )
        if reference_audio is not None:
            self.speaker = {"prompt_text": prompt_text, "reference_audio": reference_audio}
        else:
            self.speaker = {"voice": voice}
        # The framework tries again by itself.
        self.client = ltc.AsyncLightTTSClient(base_url, max_retries=0, api_key=api_key)

    @property
    def model(self) -> str:
        return "CosyVoice2"

    @property
    def provider(self) -> str:
        return "Mynah"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> "WholeText":
        return WholeText(tts=self, input_text=text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> "TextStream":
        return TextStream(tts=self, conn_options=conn_options)

    async def aclose(self) -> None:
        await self.client.close()


@contextlib.contextmanager
def framework_errors():
    """The client's errors as those that the framework knows how to handle."""
    try:
        yield
    except ltc.APIError as error:
        raise APIStatusError(
            str(error),
            status_code=error.status or (503 if error.retryable else 400),
            request_id=error.request_id,
            body=error.detail,
            retryable=error.retryable,
        ) from error
    except ltc.RequestTimeoutError as error:
        raise APITimeoutError(str(error)) from error
    except ltc.ConnectionFailedError as error:
        raise APIConnectionError(str(error)) from error


class WholeText(tts.ChunkedStream):
    """Text that is known from the beginning."""

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        speaker: MynahTTS = self._tts
        stream = speaker.client.synthesize_stream(
            self._input_text, sample_rate=SAMPLE_RATE, **speaker.speaker
        )
        with framework_errors():
            async with stream:
                output_emitter.initialize(
                    request_id=stream.request_id or utils.shortuuid(),
                    sample_rate=stream.sample_rate,
                    num_channels=1,
                    mime_type="audio/pcm",
                )
                async for chunk in stream:
                    output_emitter.push(chunk)
        output_emitter.flush()


class TextStream(tts.SynthesizeStream):
    """Text that is still being written."""

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        speaker: MynahTTS = self._tts
        request_id = utils.shortuuid()
        output_emitter.initialize(
            request_id=request_id,
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        # No connection for an answer that stays empty.
        texts = self._texts()
        first = await anext(texts, None)
        if first is None:
            return
        output_emitter.start_segment(segment_id=request_id)

        async def all_texts():
            yield first
            async for text in texts:
                yield text

        with framework_errors():
            async with speaker.client.bistream(
                sample_rate=SAMPLE_RATE, **speaker.speaker
            ) as stream:
                stream.feed(all_texts())
                async for chunk in stream:
                    output_emitter.push(chunk)
        output_emitter.end_segment()

    async def _texts(self):
        """The pieces of one segment, which a flush or the end of the input ends."""
        spoken = False
        async for piece in self._input_ch:
            if isinstance(piece, self._FlushSentinel):
                if spoken:
                    return
            elif piece.strip() or spoken:
                spoken = True
                self._mark_started()
                yield piece


async def main(args) -> float:
    async with MynahTTS(base_url=args.url, voice=args.voice) as voice:
        whole = await voice.synthesize(args.text).collect()
        frames = []
        async with voice.stream() as stream:

            async def write():
                for word in args.text.split():
                    stream.push_text(word + " ")
                    await asyncio.sleep(0.02)
                stream.end_input()

            writing = asyncio.create_task(write())
            async for audio in stream:
                frames.append(bytes(audio.frame.data))
            await writing
    with wave.open(args.output, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(b"".join(frames))
    streamed = sum(map(len, frames)) / 2 / SAMPLE_RATE
    print(f"whole text: {whole.duration:.2f} s; word by word: {streamed:.2f} s in {args.output}")
    return min(whole.duration, streamed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Try Mynah as the voice of a LiveKit agent.")
    parser.add_argument("text")
    parser.add_argument("--url", default="http://localhost:8080", help="the server [%(default)s]")
    parser.add_argument("--voice", default="default", help="a registered voice [%(default)s]")
    parser.add_argument("-o", "--output", default="out.wav", help="the WAV to write [%(default)s]")
    sys.exit(0 if asyncio.run(main(parser.parse_args())) > 0 else 1)
