"""What a program does with OpenAI's client for Python. Prints the client's version at the end."""

import asyncio
import base64
import json
import sys

import openai

url = sys.argv[1]
client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)

# A whole file.
speech = client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning.")
assert speech.response.headers["content-type"] == "audio/mpeg", speech.response.headers
assert speech.content[:1] == b"\xff" and len(speech.content) > 1000, len(speech.content)
for format, start in {"opus": b"OggS", "flac": b"fLaC", "wav": b"RIFF", "pcm": b"\0\0"}.items():
    speech = client.audio.speech.create(
        model="tts-1-hd", voice="nova", input="Good morning.", response_format=format, speed=1.5
    )
    assert speech.read().startswith(start), format

# As it is made.
with client.audio.speech.with_streaming_response.create(
    model="gpt-4o-mini-tts", voice="coral", input="x" * 50, response_format="pcm", instructions="Whisper."
) as response:
    chunks = list(response.iter_bytes())
pcm = b"".join(chunks)
assert len(chunks) > 5 and len(pcm) == 50 * 960, (len(chunks), len(pcm))

# In events.
with client.audio.speech.with_streaming_response.create(
    model="gpt-4o-mini-tts", voice="coral", input="x" * 50, response_format="pcm", stream_format="sse"
) as response:
    lines = [line for line in response.iter_lines() if line]
events = [json.loads(line.removeprefix("data: ")) for line in lines]
assert [event["type"] for event in events[-2:]] == ["speech.audio.delta", "speech.audio.done"]
assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == pcm
assert "total_tokens" in events[-1]["usage"], events[-1]


async def in_parallel():
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    create = client.audio.speech.create
    asked = [create(model="tts-1", voice="echo", input="One.") for _ in range(3)]
    return [len((await speech.aread())) for speech in await asyncio.gather(*asked)]


sizes = asyncio.run(in_parallel())
assert len(set(sizes)) == 1 and sizes[0] > 500, sizes

# Models, and errors as the client names them.
models = [model.id for model in client.models.list()]
assert client.models.retrieve(models[0]).id == models[0]
for error, changes in [
    (openai.BadRequestError, {"model": "tts-9"}),
    (openai.NotFoundError, {"voice": "nobody"}),
    (openai.UnprocessableEntityError, {"speed": 4}),
]:
    try:
        client.audio.speech.create(**({"model": "tts-1", "voice": "alloy", "input": "a"} | changes))
    except error as e:
        assert e.code and e.request_id and e.type == "invalid_request_error", e
    else:
        raise AssertionError(f"{changes} was accepted")

# Voices, where the client knows them.
if hasattr(client.audio, "voices"):
    with open(sys.argv[2], "rb") as file:
        voice = client.audio.voices.create(
            name="python", audio_sample=file, consent="true", extra_body={"ref_text": "What I say."}
        )
    assert voice.id == "python", voice
    client.audio.speech.create(model="tts-1", voice={"id": voice.id}, input="a")

print("openai", openai.__version__)
