"""The examples of indextts_api_server: what is done with each block, by its number, and with each
request of a line that has no block."""

import requests

from .steps import (
    Failed,
    cannot,
    get,
    heard,
    post,
)


def shorter(body):
    """What `/synthesize_stream` takes: the document names the two that it does not."""
    return {
        k: v
        for k, v in body.items()
        if k not in ("use_fast_inference", "sentences_bucket_max_size")
    }


def busy(bench):
    """Asks for the queue's state while an utterance is made."""
    body = bench.json(6)
    with requests.post(
        bench.url + "/synthesize_stream_opus", json=body, stream=True, timeout=300
    ) as opus:
        opus.raise_for_status()
        note = bench.same(8, bench.ask("GET", "/opus_queue_status"))
        opus.content  # noqa: B018, reads it to its end
    return note


def rates(bench):
    answer = bench.ask("POST", "/synthesize_stream", json=shorter(bench.json(4)))
    names = ["X-Sample-Rate", "X-Bit-Depth", "X-Channels"]
    said = {name: answer.headers.get(name) for name in names}
    if None in said.values():
        raise Failed(f"{answer.headers}")
    return f"{heard(answer, 'application/octet-stream')}, {said}"


INDEX = {
    1: cannot("starts the other service's program"),
    2: get("/", 2),
    3: get("/health", 3),
    4: post("/synthesize", 4, "audio/wav"),
    5: post("/synthesize_simple", 5, "audio/wav"),
    "line 111": rates,
    6: post("/synthesize_stream_opus", 6, "audio/ogg"),
    7: get("/opus_queue_status", 7),
    8: busy,
    9: get("/reference_audios", 9),
    "line 195": get("/download_reference_audio/0", sound="audio/"),
    10: get("/model_info", 10),
    "line 224": get("/test", sound="audio/wav"),
    "line 230": get("/test_stream"),
}
