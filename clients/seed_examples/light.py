"""The examples of light_tts_api: what is done with each block, by its number, and with each
request of a line that has no block."""

import asyncio
import json
import re

import requests
import websockets

from . import programs
from .steps import (
    Failed,
    cannot,
    get,
    in_turn,
    program,
    refused,
)


def speak(bench, stream="false", **fields):
    form = {"tts_text": "你好", "prompt_text": "友好", "stream": stream, **fields}
    files = {"prompt_wav": programs.PROMPT.open("rb")}
    url = bench.url + "/inference_zero_shot"
    return requests.post(url, data=form, files=files, stream=True, timeout=300)


def light_head(stream):
    def step(bench):
        number = 5 if stream == "true" else 4
        documented = dict(re.findall(r"^([\w-]+): (.+)$", bench.blocks[number][2], re.M))
        answer = speak(bench, stream)
        wrong = [
            f"{k}: {answer.headers.get(k)}"
            for k, v in documented.items()
            if answer.headers.get(k) != v
        ]
        size = len(answer.content)
        if answer.headers["content-type"] != documented["Content-Type"] or size < 2000:
            raise Failed(f"{answer.headers}")
        return f"{answer.status_code}, {size} bytes; " + (
            "; ".join(wrong) or "headers as documented"
        )

    return step


async def conversation(bench):
    """The three frames of the document, with a recording between the first two."""
    frames = [json.dumps(bench.json(number)) for number in (13, 14, 15)]
    frames.insert(1, programs.PROMPT.read_bytes())
    url = bench.url.replace("http", "ws") + "/inference_zero_shot_bistream"
    async with websockets.connect(url, ping_timeout=None) as socket:
        for frame in frames:
            await socket.send(frame)
        sizes = [len(frame) async for frame in socket if isinstance(frame, bytes)]
        if socket.close_code != 1000 or sum(sizes) < 2000:
            raise Failed(f"{sum(sizes)} bytes of sound, closed with {socket.close_code}")
    return f"{len(sizes)} binary frames, {sum(sizes)} bytes of sound, closed with 1000"


def measured(bench):
    text = bench.ask("GET", "/metrics").text
    names = ["count", "failure", "success"]
    wrong = [n for n in names if f"# TYPE lightllm_request_{n} counter" not in text]
    if wrong or "# TYPE lightllm_request_latency histogram" not in text:
        raise Failed(f"no {wrong or 'latency'}")
    return "200, all four metrics with their types"


def light_error(status, **fields):
    return refused(status, lambda bench: speak(bench, **fields))


def no_wav(bench):
    form = {"tts_text": "x", "prompt_text": "x"}
    files = {"prompt_wav": b"no recording"}
    return requests.post(bench.url + "/inference_zero_shot", data=form, files=files, timeout=60)


health = [get(path, 19) for path in ("/healthz", "/health", "/liveness", "/readiness")]
LIGHT = {
    1: lambda bench: f"{light_head('false')(bench)}",
    2: program(2),
    3: program(3),
    4: light_head("false"),
    5: light_head("true"),
    6: light_error(400, tts_text="")(6),
    7: program(7),
    8: program(8),
    9: in_turn(get("/query_tts_model", 10), get("/query_tts_model", 10, method="POST")),
    10: get("/query_tts_model", 10),
    11: program(11),
    12: lambda bench: asyncio.run(conversation(bench)),
    **{n: lambda bench: asyncio.run(conversation(bench)) for n in (13, 14, 15)},
    16: program(16),
    17: program(17),
    18: in_turn(*health),
    19: in_turn(*health),
    20: cannot(
        "the answer of an engine that is stuck or loads its model; tests/light_silent.rs has it"
    ),
    21: measured,
    22: light_error(400, tts_text="")(22),
    23: refused(400, no_wav)(23),
    24: light_error(422, tts_text="长" * 1001)(24),
    25: cannot("the answer while the model loads; tests/light_silent.rs has it"),
    26: cannot("settings of LightTTS's own server; Mynah's are in config.toml, [limits]"),
    27: program(27),
    28: program(28),
}
