"""The examples of indextts_tasks_api: what is done with each block, by its number, and with each
request of a line that has no block."""

from functools import partial

from .steps import (
    Failed,
    cannot,
    get,
    post,
    until_ended,
)


def task(bench):
    return bench.ask("GET", "/api/tts/tasks/{task_id}".format(**bench.told))


def completed(bench):
    path = "/api/tts/tasks/{task_id}".format(**bench.told)
    answer = until_ended(bench, path, ("pending", "processing"))
    if answer.json()["status"] != "completed":
        raise Failed(answer.text)
    return bench.same(4, answer)


keep_task = partial(
    post, "/api/tts/tasks", 2, like=3, keep=lambda said: {"task_id": said["task_id"]}
)
TASKS = {
    1: get("/api/tts/prompts", 1),
    2: keep_task(),
    3: keep_task(),
    4: completed,
    5: cannot("the answer of a task that failed; tests/jobs.rs has it"),
    6: get("/health", 6),
}
