"""The examples of indextts_workflow_service: what is done with each block, by its number, and
with each request of a line that has no block."""

import requests

from . import programs
from .document import differences
from .steps import (
    CannotRun,
    Failed,
    get,
    program,
    refused,
)


def run_workflow(bench, number, expect=200, change=lambda config: None):
    body = bench.json(number)
    change(body["workflow_config"].get("indextts_config"))
    answer = bench.ask("POST", "/v1/workflows", expect, json=body)
    if "workflow_id" in answer.json():
        bench.told["workflow_id"] = answer.json()["workflow_id"]
    return answer


def with_emotion(bench):
    answer = run_workflow(bench, 1, 501).json()
    plain = run_workflow(bench, 1, change=without_emotion)
    return (
        f"as it stands 501 {answer['error_code']} (the bundled model has no emotions); "
        f"without its emotion fields {plain.status_code}, {plain.json()['duration']} s"
    )


def without_emotion(config):
    for name in [name for name in config if name.startswith("emotion_")]:
        del config[name]


def spoken(bench):
    return bench.same(2, run_workflow(bench, 1, change=without_emotion))


def no_text(bench):
    body = bench.json(1)
    body["workflow_config"]["indextts_config"]["text"] = ""
    return requests.post(bench.url + "/v1/workflows", json=body, timeout=60)


def workflow(number, like):
    return lambda bench: bench.same(like, run_workflow(bench, number))


def presets(bench):
    """Which voices there are beside `default` is the operator's choice."""
    documented = bench.json(9)
    documented["presets"] = {"default": documented["presets"]["default"]}
    answer = run_workflow(bench, 8)
    wrong = differences(documented, answer.json())
    if wrong:
        raise Failed("; ".join(wrong))
    names = ", ".join(answer.json()["presets"])
    return f"{answer.status_code}, keys and types as documented, voices {names}"


def happy(bench):
    _, note = programs.run("bash", bench.text(16))
    if "UNSUPPORTED_BY_MODEL" not in note:
        raise Failed(note)
    raise CannotRun(
        "501 UNSUPPORTED_BY_MODEL: CosyVoice2 has no emotions, and is not asked to feign them"
    )


def a_workflow(bench):
    run_workflow(bench, 1, change=without_emotion)
    return "workflow_123456", bench.told["workflow_id"]


WORKFLOW = {
    1: with_emotion,
    2: spoken,
    3: refused(400, no_text)(3),
    4: workflow(4, 5),
    5: workflow(4, 5),
    6: workflow(6, 7),
    7: workflow(6, 7),
    8: presets,
    9: presets,
    10: get("/api/v1/monitoring/gpu-lock/health", 10),
    11: get("/api/v1/monitoring/heartbeat/all", 11),
    12: get("/api/v1/monitoring/statistics", 12),
    13: get("/v1/workflows/status/{workflow_id}", 13),
    14: program(14),
    15: program(15),
    16: happy,
    17: program(17, a_workflow),
    18: program(18),
}
