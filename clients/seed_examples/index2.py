"""The examples of indextts2_rest_api: what is done with each block, by its number, and with each
request of a line that has no block."""

import requests

from . import programs
from .steps import (
    CannotRun,
    Failed,
    cannot,
    get,
    heard,
    in_turn,
    program,
    refused,
    until_ended,
)


def upload(bench):
    files = {"file": ("prompt.wav", programs.PROMPT.open("rb"))}
    file_id = bench.ask("POST", "/api/v1/upload/audio", files=files).json()["file_id"]
    bench.told["file_id"] = file_id
    return "your-file-id-here", file_id


def uploaded(bench):
    again = [upload(bench) for _ in range(2)]
    return f"file_id {again[0][1][:12]}…, the same for the same content"


def begun(bench):
    body = {"text": "你好。", "prompt_audio_id": upload(bench)[1]}
    bench.told["task_id"] = bench.ask("POST", "/api/v1/tts", json=body).json()["task_id"]
    return f"200, task {bench.told['task_id'][:8]}…"


def at_once(bench):
    body = {"text": "你好。", "prompt_audio_id": upload(bench)[1]}
    return heard(bench.ask("POST", "/api/v1/tts/sync", json=body), "audio/wav")


def followed(bench):
    begun(bench)
    path = f"/api/v1/task/{bench.told['task_id']}"
    status = until_ended(bench, path, ("pending", "processing")).json()
    if status["status"] != "completed" or status["progress"] != 1:
        raise Failed(f"{status}")
    return "completed, progress 1"


def emotional(bench):
    body = {"text": "你好。", "prompt_audio_id": upload(bench)[1], **bench.json(14)}
    answer = bench.ask("POST", "/api/v1/tts/sync", 501, json=body).json()
    raise CannotRun(
        f"501 {answer['error_code']}: CosyVoice2 has no emotions, and is not asked to feign them"
    )


def not_found(bench):
    return requests.get(bench.url + "/api/v1/task/nobody", timeout=60)


INDEX2 = {
    1: cannot("installs the other service's program"),
    2: cannot("installs the other service's program"),
    3: cannot("starts the other service's program"),
    4: get("/api/v1/health"),
    5: begun,
    6: at_once,
    7: followed,
    8: get("/api/v1/audio/{task_id}", sound="audio/wav"),
    9: uploaded,
    10: get("/api/v1/file/{file_id}"),
    11: in_turn(get("/api/v1/tasks"), get("/api/v1/task/{task_id}", method="DELETE")),
    12: program(12),
    13: program(13, upload),
    14: emotional,
    15: refused(404, not_found)(15),
    "line 54": get("/docs"),
}
