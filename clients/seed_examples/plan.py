"""What is done with each block of each document, and with each request that has no block.

A step is given a `Bench` and returns what came of it in words; `Failed` says that it is not as
documented, `CannotRun` why it is nothing that a server could answer.
"""

import asyncio
import json
import re
import time
from functools import partial

import requests
import websockets

from . import programs
from .document import differences, read_json


class Failed(Exception):
    """An example that did not behave as documented."""


class CannotRun(Exception):
    """An example that asks nothing of the server, or not with the bundled model."""


class Bench:
    """A document and the address its examples are run against."""

    def __init__(self, blocks, url, place):
        self.blocks, self.url = blocks, url
        #: How an address in the document is turned into `url`; None: it is already.
        self.place = place
        #: What earlier examples were told: ids that later ones ask for.
        self.told = {}

    def text(self, number):
        text = self.blocks[number][2]
        return self.place(text) if self.place else text

    def json(self, number):
        return read_json(self.blocks[number][2])[0]

    def ask(self, method, path, expect=200, **options):
        answer = requests.request(method, self.url + path, timeout=300, **options)
        if answer.status_code != expect:
            raise Failed(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer

    def same(self, number, answer):
        """That the answer is as in the block."""
        wrong = differences(self.json(number), answer.json())
        if wrong:
            raise Failed("; ".join(wrong))
        return f"{answer.status_code}, keys and types as documented"


def program(number, first=None):
    """Runs it as it stands; then, where it names an id that the reader has to fill in, with the one
    that `first` gets."""

    def step(bench):
        language, text = bench.blocks[number][0], bench.text(number)
        if first is None:
            good, note = programs.run(language, text)
            if not good:
                raise Failed(note)
            return note
        good, note = programs.run(language, text)
        if good:
            raise Failed(f"its placeholder was taken for an id: {note}")
        refusal = re.search(r'"error_code":"(\w+)"', note)
        if refusal is None:
            raise Failed(f"its placeholder got no error: {note}")
        placeholder, real = first(bench)
        good, note = programs.run(language, text.replace(placeholder, real))
        if not good:
            raise Failed(note)
        return f"as it stands {refusal[1]}; with a real id in place of `{placeholder}`: {note}"

    return step


def cannot(why):
    def step(_):
        raise CannotRun(why)

    return step


def get(path, number=None, method="GET", expect=200, sound=None):
    """A request without a body; its answer is as in block `number`, or sound."""

    def step(bench):
        answer = bench.ask(method, path.format(**bench.told), expect)
        if number is not None:
            return bench.same(number, answer)
        return heard(answer, sound) if sound else f"{answer.status_code}, {len(answer.content)} bytes"

    return step


def heard(answer, sound):
    """That an answer is sound of this media type."""
    media, body = answer.headers["content-type"], answer.content
    begins = {"audio/wav": b"RIFF", "audio/ogg": b"OggS"}.get(sound, b"")
    if not media.startswith(sound) or len(body) < 2000 or not body.startswith(begins):
        raise Failed(f"{media}, {len(body)} bytes")
    return f"{answer.status_code}, {media}, {len(body)} bytes"


def post(path, number, sound=None, change=lambda body: body, keep=None, expect=200, like=None):
    """A JSON body that is block `number`; the answer is sound, or as in block `like`."""

    def step(bench):
        body, bare = read_json(bench.blocks[number][2])
        answer = bench.ask("POST", path, expect, json=change(body))
        notes = ["without its comment"] if bare else []
        notes += [heard(answer, sound)] if sound else []
        notes += [bench.same(like, answer)] if like else []
        if keep:
            bench.told.update(keep(answer.json()))
        return "; ".join(notes or [f"{answer.status_code}"])

    return step


def refused(status, send):
    """An error of the documented shape, provoked by a request."""

    def on(number):
        def step(bench):
            answer = send(bench)
            if answer.status_code != status:
                raise Failed(f"{answer.status_code} {answer.text[:200]}")
            wrong = differences(bench.json(number), answer.json())
            if wrong:
                raise Failed("; ".join(wrong))
            return f"{status} {answer.json().get('error_code', '')}, keys as documented"

        return step

    return on


def until_ended(bench, path, states):
    """Asks for a task until it has ended."""
    while True:
        answer = bench.ask("GET", path)
        if answer.json()["status"] not in states:
            return answer
        time.sleep(1)


# --- light ---------------------------------------------------------------------------------------


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
        wrong = [f"{k}: {answer.headers.get(k)}" for k, v in documented.items() if answer.headers.get(k) != v]
        size = len(answer.content)
        if answer.headers["content-type"] != documented["Content-Type"] or size < 2000:
            raise Failed(f"{answer.headers}")
        return f"{answer.status_code}, {size} bytes; " + ("; ".join(wrong) or "headers as documented")

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


def in_turn(*steps):
    """Several requests of one block."""
    return lambda bench: "; ".join(step(bench) for step in steps)


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
    20: cannot("the answer of an engine that is stuck or loads its model; tests/light_silent.rs has it"),
    21: measured,
    22: light_error(400, tts_text="")(22),
    23: refused(400, no_wav)(23),
    24: light_error(422, tts_text="长" * 1001)(24),
    25: cannot("the answer while the model loads; tests/light_silent.rs has it"),
    26: cannot("settings of LightTTS's own server; Mynah's are in config.toml, [limits]"),
    27: program(27),
    28: program(28),
}

# --- index ---------------------------------------------------------------------------------------


def shorter(body):
    """What `/synthesize_stream` takes: the document names the two that it does not."""
    return {k: v for k, v in body.items() if k not in ("use_fast_inference", "sentences_bucket_max_size")}


def busy(bench):
    """Asks for the queue's state while an utterance is made."""
    body = bench.json(6)
    with requests.post(bench.url + "/synthesize_stream_opus", json=body, stream=True, timeout=300) as opus:
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

# --- index2 --------------------------------------------------------------------------------------


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
    raise CannotRun(f"501 {answer['error_code']}: CosyVoice2 has no emotions, and is not asked to feign them")


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

# --- workflow ------------------------------------------------------------------------------------


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
    return f"{answer.status_code}, keys and types as documented, voices {list(answer.json()['presets'])}"


def happy(bench):
    good, note = programs.run("bash", bench.text(16))
    if "UNSUPPORTED_BY_MODEL" not in note:
        raise Failed(note)
    raise CannotRun("501 UNSUPPORTED_BY_MODEL: CosyVoice2 has no emotions, and is not asked to feign them")


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

# --- tasks ---------------------------------------------------------------------------------------


def task(bench):
    return bench.ask("GET", "/api/tts/tasks/{task_id}".format(**bench.told))


def completed(bench):
    path = "/api/tts/tasks/{task_id}".format(**bench.told)
    answer = until_ended(bench, path, ("pending", "processing"))
    if answer.json()["status"] != "completed":
        raise Failed(answer.text)
    return bench.same(4, answer)


keep_task = partial(post, "/api/tts/tasks", 2, like=3, keep=lambda said: {"task_id": said["task_id"]})
TASKS = {
    1: get("/api/tts/prompts", 1),
    2: keep_task(),
    3: keep_task(),
    4: completed,
    5: cannot("the answer of a task that failed; tests/jobs.rs has it"),
    6: get("/health", 6),
}

#: By the document's name: what is done, the ports it documents, the dialects that it is about.
PLANS = {
    "light_tts_api": (LIGHT, 8080, ["light"]),
    "indextts_api_server": (INDEX, 8000, ["index"]),
    "indextts2_rest_api": (INDEX2, 8000, ["index2"]),
    "indextts_workflow_service": (WORKFLOW, 8788, ["workflow"]),
    # "your-domain:port"
    "indextts_tasks_api": (TASKS, 8001, ["tasks"]),
}
