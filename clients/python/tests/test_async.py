"""The client for asyncio, against a real server."""

import asyncio
import io
import wave

import pytest

import light_tts_client as ltc
from test_sync import LONG, TEXT, becomes_idle


def run(url, work, **options):
    async def main():
        async with ltc.AsyncLightTTSClient(url, **options) as client:
            return await work(client)

    return asyncio.run(main())


async def tokens(text, pause=0.02):
    for word in text.split():
        yield word + " "
        await asyncio.sleep(pause)


def test_whole_and_stream(url, prompt):
    async def work(client):
        whole = await client.synthesize(text=TEXT, seed=3, **prompt)
        chunks = []
        async with client.synthesize_stream(text=TEXT, seed=3, **prompt) as stream:
            assert stream.sample_rate == 24000 and stream.request_id
            async for chunk in stream:
                chunks.append(chunk)
        return whole, b"".join(chunks)

    whole, streamed = run(url, work)
    with wave.open(io.BytesIO(whole)) as file:
        assert file.getnframes() > 12000
    assert len(streamed) > 24000 and len(streamed) % 2 == 0


def test_streams_need_no_block(url):
    async def work(client):
        return [c async for c in client.synthesize_stream(TEXT, voice="default")]

    assert sum(map(len, run(url, work))) > 24000


def test_bistream(url, prompt):
    async def work(client):
        by_hand = b""
        async with client.bistream(**prompt) as stream:
            await stream.send("Good morning ")
            await stream.finish("and welcome.")
            async for chunk in stream:
                by_hand += chunk
        fed = [c async for c in client.synthesize_bistream(tokens(TEXT), voice="default")]
        plain = [c async for c in client.synthesize_bistream(TEXT.split(), voice="default")]
        return len(by_hand), sum(map(len, fed)), sum(map(len, plain))

    assert min(run(url, work)) > 24000


def test_many_at_once(url):
    async def work(client):
        async def one(i):
            pieces = tokens(f"Good morning, number {i}.", 0.01)
            return [c async for c in client.synthesize_bistream(pieces, voice="default")]

        return await asyncio.gather(*(one(i) for i in range(4)))

    assert all(sum(map(len, chunks)) > 10000 for chunks in run(url, work))


def test_cancelling_ends_the_session(url):
    async def work(client):
        begun = asyncio.Event()

        async def http():
            async for _ in client.synthesize_stream(LONG, voice="default"):
                begun.set()

        async def socket():
            async with client.bistream(voice="default") as stream:
                stream.feed(tokens(LONG, 0.05))
                async for _ in stream:
                    begun.set()

        for speak in (http, socket):
            begun.clear()
            task = asyncio.ensure_future(speak())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert becomes_idle(url), speak.__name__

    run(url, work)


def test_errors(url):
    async def failing():
        yield "Hello. "
        raise KeyError("the model died")

    async def work(client):
        with pytest.raises(ltc.NotFoundError):
            await client.synthesize("Hi.", voice="nobody")
        with pytest.raises(ltc.TextTooLongError):
            async with client.synthesize_stream("x" * 1001, voice="default"):
                pass
        with pytest.raises(ltc.NotFoundError):
            async for _ in client.synthesize_bistream(tokens(TEXT), voice="nobody"):
                pass
        with pytest.raises(KeyError):
            async for _ in client.synthesize_bistream(failing(), voice="default"):
                pass
        async with client.bistream(voice="nobody") as stream:
            with pytest.raises(ltc.NotFoundError):
                while True:
                    await stream.send("Hello. ")
                    await asyncio.sleep(0.01)

    run(url, work)


def test_names_and_readiness(url):
    async def work(client):
        await client.wait_until_ready()
        return await client.models(), await client.voices()

    models, voices = run(url, work)
    assert models and "default" in voices


def test_keys(locked):
    url, key = locked

    async def refused(client):
        for ask in (client.voices(), client.synthesize("Hi.", voice="default")):
            with pytest.raises(ltc.AuthenticationError):
                await ask
        with pytest.raises(ltc.AuthenticationError):
            await client.bistream(voice="default")

    async def welcome(client):
        assert "default" in await client.voices()
        assert [c async for c in client.synthesize_stream("Hi.", voice="default")]
        assert [c async for c in client.synthesize_bistream(["Hi."], voice="default")]

    run(url, refused, api_key="another")
    run(url, welcome, api_key=key)
